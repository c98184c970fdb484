"""One process of a figure: ``python bench/hosts/child.py broker|endpoint|bare|consumer``.

It reads a JSON object a line (``do`` and its arguments) and answers each with one. Everything it measures of
itself (CPU seconds, resident bytes) it says in its answers.
"""

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

Handler = Callable[..., dict[str, Any]]


def resources() -> dict[str, float]:
    """What this process has used and holds, in seconds and bytes."""
    # Not getrusage: its peak begins with what the parent held when it started this process.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    held = {name: int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")}
    return {"cpu_s": time.process_time(), "resident": held["VmRSS"], "peak": held["VmHWM"]}


def serve(handlers: dict[str, Handler]) -> None:
    """Answer until stdin ends."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(handlers[command.pop("do")](**command)), flush=True)


# ---------------------------------------------------------------- the broker


class Hubs:
    """Hubs of one broker that share their records: events are made once and read by every candidate."""

    def __init__(self) -> None:
        from tests.support.broker import Broker

        self.broker = Broker({"usage": 1})
        self.broker.__enter__()
        self.logs: list[Any] = []
        self.bodies: list[list[bytes]] = []
        self.fed = 0

    def draw(self, seed: int, events: int, words: int, partitions: int, in_parts: float) -> dict[str, Any]:
        """Make the events every ``fill`` shows."""
        from hosts.hub_traffic import traffic
        from tests.support.broker import Partition, section

        drawn = traffic(seed, events, partitions, words, in_parts)
        self.bodies = drawn.partitions
        self.logs = []
        for bodies in drawn.partitions:
            log = Partition()
            for body in bodies:
                log.append({0x75: section(0x75, body)}, None, int(time.time() * 1000))
            self.logs.append(log)
        size = sum(len(body) for bodies in drawn.partitions for body in bodies)
        return {
            "events": drawn.events,
            "calls": drawn.calls,
            "prompt_tokens": drawn.prompt_tokens,
            "bytes": size,
            "connection": self.broker.connection_string(),
        }

    def open(self, hub: str, partitions: int) -> dict[str, Any]:
        from tests.support.broker import Hub

        self.broker.hubs[hub] = Hub(hub, partitions)
        return {}

    def readers(self, hub: str) -> dict[str, Any]:
        return {"readers": [len(log.readers) for log in self.broker.hubs[hub].partitions]}

    def fill(self, hub: str, first: int | None = None) -> dict[str, Any]:
        """Show the ``first`` events of each partition, or all, at once."""

        def there() -> None:
            for log, made in zip(self.broker.hubs[hub].partitions, self.logs, strict=True):
                log.records = made.records[:first]
                log.next_offset, log.last_ms = made.next_offset, made.last_ms
                for reader in list(log.readers):
                    self.broker.pump(reader)

        self.broker.call(there)
        return {}

    def feed(self, hub: str, rounds: int) -> dict[str, Any]:
        """Append the events again and again under new ids, and forget what is older than two rounds."""
        count = 0
        for _ in range(rounds):
            self.fed += 1
            for number, bodies in enumerate(self.bodies):
                renamed = [body.replace(b"chatcmpl-", b"chatcmpl-%06d" % self.fed) for body in bodies]
                self.broker.put(hub, number, renamed)
                count += len(renamed)
        return {"events": count}

    def one(self, hub: str, size: int) -> dict[str, Any]:
        """Append one event of about ``size`` bytes: an answer that long, with its usage."""
        from hosts.hub_traffic import large

        self.broker.put(hub, 0, [large(size)])
        return {}

    def forget(self, hub: str, keep: int) -> dict[str, Any]:
        def there() -> None:
            for log in self.broker.hubs[hub].partitions:
                log.drop_head(max(0, len(log.records) - keep))

        self.broker.call(there)
        return {}

    def drop(self, hub: str) -> dict[str, Any]:
        self.broker.call(lambda: self.broker.hubs.pop(hub, None) and None)
        return {}

    def usage(self) -> dict[str, Any]:
        return resources()


# ---------------------------------------------------------------- the ingestion endpoint


class Endpoint:
    """Accepts what a service would, and forgets all but the ids."""

    def __init__(self) -> None:
        from tests.support.ingestion import IngestionEndpoint

        self.endpoint = IngestionEndpoint(remembers=False)
        self.endpoint.start()

    def where(self) -> dict[str, Any]:
        return {"connection": self.endpoint.connection_string}

    def accepted(self) -> dict[str, Any]:
        found = self.endpoint.accepted
        return {"ids": len(found), "items": found.total(), **resources()}

    def reset(self) -> dict[str, Any]:
        self.endpoint.reset()
        return {}


# ---------------------------------------------------------------- the SDK alone


class Bare:
    """The SDK's aio client with the options the consumer uses, a callback that counts, and no checkpoints."""

    def __init__(self, batch: int, prefetch: int) -> None:
        self.count = 0
        self.batch, self.prefetch = batch, prefetch
        self.loop = asyncio.new_event_loop()
        self.client: Any = None
        threading.Thread(target=self._answers, daemon=True).start()
        self.loop.run_until_complete(self._run())

    def _answers(self) -> None:
        serve({"status": lambda: {"events": self.count, **resources()}})
        os._exit(0)  # nothing to finish

    async def _run(self) -> None:
        from azure.eventhub.aio import EventHubConsumerClient

        async def took(_: Any, events: list[Any]) -> None:
            self.count += len(events)

        client = EventHubConsumerClient.from_connection_string(
            os.environ["EVENT_HUB_CONNECTION"], "$Default", eventhub_name=os.environ["EVENT_HUB_NAME"]
        )
        await client.receive_batch(
            took,
            max_batch_size=self.batch,
            max_wait_time=5,
            prefetch=self.prefetch,
            track_last_enqueued_event_properties=True,
            starting_position="-1",
        )


# ---------------------------------------------------------------- the consumer


class Whole:
    """The standalone host as ``chargeback consume`` runs it, asked now and then how far it is."""

    def __init__(self) -> None:
        from chargeback import event_loop

        self.running: Any = None
        event_loop.run(self._run())

    def _answers(self, loop: asyncio.AbstractEventLoop) -> None:
        serve({"status": self.status})
        loop.call_soon_threadsafe(self.running.stop)

    def status(self) -> dict[str, Any]:
        from msgspec import structs

        return {**structs.asdict(self.running.status), **resources()}

    async def _run(self) -> None:
        logging.getLogger("azure").setLevel(logging.CRITICAL)  # as ``chargeback consume`` does
        from chargeback.consumer import consumer
        from chargeback.settings import Settings
        from chargeback.wiring import make_worker

        settings = Settings.load()
        async with consumer(settings, make_worker(settings)) as self.running:
            threading.Thread(target=self._answers, args=(asyncio.get_running_loop(),), daemon=True).start()
            await self.running.run()


def main() -> None:
    kind, *arguments = sys.argv[1:]
    if kind == "broker":
        hubs = Hubs()
        names = ("draw", "open", "readers", "fill", "feed", "one", "forget", "drop", "usage")
        serve({name: getattr(hubs, name) for name in names})
    elif kind == "endpoint":
        endpoint = Endpoint()
        serve({name: getattr(endpoint, name) for name in ("where", "accepted", "reset")})
    elif kind == "bare":
        Bare(int(arguments[0]), int(arguments[1]))
    else:
        Whole()


if __name__ == "__main__":
    main()
