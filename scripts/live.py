"""``make live``: the worker's whole loop on this machine, without Azure and without Docker.

    sample calls ──> broker (AMQP) ──> chargeback consume ──> journal in Azurite ──> ingestion endpoint
                                                                                  each charge, as it arrives

The consumer is the real one, in a process of its own; what stands in for Azure is what the tests use. A line
is printed when the endpoint has accepted the customEvent, so it has been through the journal. It ends by
itself, or at Ctrl-C: nothing more is sent, what is under way is billed, the ledger is kept, the bill printed.
"""

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azure.eventhub import EventData, EventHubProducerClient
from azure.storage.blob import ContainerClient

from chargeback.custom_events import CHARGE_EVENT
from tests.support import azurite
from tests.support.broker import Broker
from tests.support.calls import Call, Format
from tests.support.consuming import HUB, environment
from tests.support.ingestion import IngestionEndpoint
from tests.support.render import render
from tests.support.sample_calls import KEY_ROTATION, captured

CONTAINER = "live-ledger"
"""A name that no folder has where this is run: a folder of that name would be taken for the ledger."""
OUT = ROOT / "out" / "live"
FORMATS: tuple[Format, ...] = ("v1", "v1-parts", "F1", "F15")
"""Our own policy with usage and with bodies, the published sample's, and API Management's LLM log."""
END_S = 30
"""What was sent is billed within a second; this is for a machine that is busy otherwise."""


def main() -> int:
    options = _options()
    stop = threading.Event()

    def end(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # asked twice, it stops at once

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    shutil.rmtree(options.out / "ledger", ignore_errors=True)
    options.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as running:
        loop = Loop(running, options.out, in_folder=options.folder)
        try:
            loop.send(calls(random.Random(options.seed)), options, stop)  # noqa: S311 - which sample comes next
            problem = loop.finish()
        finally:
            loop.stop()
        if not options.folder:
            loop.keep_ledger()
    return _bill(options.out, problem)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make live", description="The worker's whole loop on this machine.")
    parser.add_argument("--calls", type=int, default=80, help="how many calls to send (80)")
    parser.add_argument("--forever", action="store_true", help="until Ctrl-C")
    parser.add_argument("--rate", type=float, default=4, help="calls a second (4)")
    parser.add_argument("--folder", action="store_true", help="journal in a folder, without Azurite")
    parser.add_argument("--seed", type=int, default=1, help="which calls, in which order")
    parser.add_argument("--out", type=Path, default=OUT, help=argparse.SUPPRESS)
    options = parser.parse_args()
    script = Path(os.environ.get("CHARGEBACK_AZURITE") or azurite.SCRIPT)
    if not options.folder and not (script.exists() and shutil.which("node")):
        print(
            "Azurite is not there (npm installs it), so the journal is a folder, and there are no checkpoints."
        )
        options.folder = True
    return options


def calls(dice: random.Random) -> Iterator[tuple[Format, Call]]:
    """Yield calls of the sample week for ever, each as a new call of this moment."""
    week = captured()
    pool: list[tuple[Format, Call]] = [
        (form, each.call)
        for form in FORMATS
        for each in week[form]
        # Usage that is to come from elsewhere, and a cut stream, need an event that is not sent here.
        if not each.identity_only and each.cut_after_deltas is None
        # F1 knows its callers by key, and the old keys are retired by now.
        if form != "F1" or each.call.at >= KEY_ROTATION
    ]
    while True:
        form, call = dice.choice(pool)
        told = call.response_id and f"{call.response_id.partition('-')[0]}-{uuid.uuid4().hex[:29]}"
        yield form, replace(call, at=datetime.now(UTC), request_id=str(uuid.uuid4()), response_id=told)


class Loop:
    """Everything that runs, and how far it has come."""

    def __init__(self, running: ExitStack, out: Path, *, in_folder: bool) -> None:
        """Started in the order of the data's way, backwards; ``running`` stops what runs in this process."""
        self.out, self.sent, self.shown = out, 0, 0
        self.told: set[str] = set()
        self.endpoint = running.enter_context(IngestionEndpoint())
        self.storage = "" if in_folder else running.enter_context(azurite.running())
        self.broker = running.enter_context(Broker({HUB: 2}))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.health = f"127.0.0.1:{probe.getsockname()[1]}"
        ledger = str(out / "ledger") if in_folder else CONTAINER
        told = environment(self.broker, self.storage, ledger, self.endpoint.connection_string)
        told = {name: value for name, value in told.items() if value} | {"CHARGEBACK_HEALTH": self.health}
        if in_folder:
            del told["CHARGEBACK_CHECKPOINTS"]
        exports = (f"export {name}={shlex.quote(value)}" for name, value in told.items())
        (out / "env").write_text("\n".join(exports) + "\n", "utf-8")
        self.log = running.enter_context((out / "consumer.log").open("w"))
        # A group of its own: Ctrl-C is for this process, which then ends the others in order.
        self.consumer = subprocess.Popen(
            [sys.executable, "-m", "chargeback.cli", "consume"],
            cwd=ROOT,
            env={**os.environ, **told},
            stderr=self.log,
            process_group=0,
        )
        print(
            f"Broker, {'a folder' if in_folder else 'Azurite'}, ingestion endpoint and `chargeback consume` run."
        )
        print(f"Ask the ledger meanwhile: . {_short(out / 'env')}; chargeback report\n", flush=True)

    def send(
        self, source: Iterator[tuple[Format, Call]], options: argparse.Namespace, stop: threading.Event
    ) -> None:
        """Send calls at their pace as soon as somebody reads, and print what comes out behind them."""
        while not self._status().get("partitions") and self.consumer.poll() is None:
            if stop.wait(0.1):
                return
        wanted = source if options.forever else islice(source, options.calls)
        with EventHubProducerClient.from_connection_string(
            self.broker.connection_string(), eventhub_name=HUB
        ) as client:
            for form, call in wanted:
                for body in render(call, form):
                    client.send_batch([EventData(body)], partition_key=call.request_id)
                    self.sent += 1
                self.show()
                if stop.wait(1 / options.rate) or self.consumer.poll() is not None:
                    return

    def show(self) -> None:
        """Print the charges that arrived since the last time, each once: what is not confirmed is sent again."""
        items: list[dict[str, Any]] = list[Any](self.endpoint.items)
        for item in items[self.shown :]:
            event = item["data"]["baseData"]
            name = event["properties"]["TokenInfoId"]
            if event["name"] == CHARGE_EVENT and name not in self.told:
                self.told.add(name)
                print(_line(event["properties"]), flush=True)
        self.shown = len(items)

    def finish(self) -> str | None:
        """Wait until everything that was sent is billed and told; say what is missing, if something is."""
        end = time.monotonic() + END_S
        while time.monotonic() < end:
            if self.consumer.poll() is not None:
                return f"the consumer ended by itself, with {self.consumer.returncode}; see {_short(self.out)}/consumer.log"
            status = self._status()
            if status.get("events") == self.sent and not status["lag"] and not status["backlog"]:
                return None
            time.sleep(0.1)
            self.show()
        return f"after {END_S} s {self.sent} events were sent and the consumer says {self._status()}"

    def _status(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://{self.health}/", timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError):
            return {}

    def stop(self) -> None:
        """End the consumer as an operator would; it finishes what it has begun."""
        self.consumer.terminate()
        self.consumer.wait(timeout=60)
        self.show()

    def keep_ledger(self) -> None:
        """Copy the container: a folder and a container hold the same files."""
        with ContainerClient.from_connection_string(self.storage, CONTAINER) as container:
            for name in container.list_blob_names():
                file = self.out / "ledger" / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(container.download_blob(name).readall())


def _line(told: dict[str, str]) -> str:
    """Return a charge as one line, its id last; a number nobody knows is a dash."""
    who = told.get("SubscriptionName") or told.get("SubscriptionId") or "-"
    tokens = f"{_number(told.get('PromptTokens'))} in {_number(told.get('CompletionTokens'))} out"
    cost = f"{told['TotalCost']} {told['Currency']}" if told.get("TotalCost") else told.get("Rating", "")
    what = f"{who:<13.13} {told.get('DeploymentId') or '-':<10} {told['SourceFormat']:<4} {tokens}"
    return f"{told['Timestamp'][11:19]}  {what}  {told['TokenSource']:<9} {cost:<15} {told['TokenInfoId']}"


def _number(text: str | None) -> str:
    return f"{int(text):>9,}" if text else f"{'-':>9}"


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _bill(out: Path, problem: str | None) -> int:
    ledger, page = out / "ledger", out / "report.html"
    command = [sys.executable, "-m", "chargeback.cli", "report", "--ledger", str(ledger), "--html", str(page)]
    print(flush=True)
    code = subprocess.run([*command, "--by", "subscription,deployment"], cwd=ROOT, check=False).returncode  # noqa: S603 - our own command
    print(
        f"\nThe ledger: {_short(ledger)}. The page: {_short(page)}. What the consumer said: {_short(out)}/consumer.log"
    )
    if problem:
        print(f"NOT EVERYTHING WAS BILLED: {problem}")
    return 1 if problem else code


if __name__ == "__main__":
    raise SystemExit(main())
