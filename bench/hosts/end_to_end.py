"""Figure 8: broker -> consumer -> Azurite journal -> ingestion endpoint, beside the SDK that only receives.

Everybody starts on an empty hub and owns its partitions before the clock starts; then the hub shows all events at
once. The bare drain ends with the last event counted, the consumer when the last call is confirmed by the ingestion
endpoint. After each round the ledger is read: every call on it once for every reader, with the right tokens.
"""

import os
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from measure import Check, Figure, Options, ratio

from hosts.parent import Child, until
from tests.support import azurite, oracle

PARTITIONS = 4
EVENTS = 20_000
WARM_UP = 50
"""Events a partition before the clock starts."""
BATCH = 300
BALANCING_S = 2


@dataclass(frozen=True)
class Stage:
    """What every candidate of a run shares."""

    broker: Child
    endpoint: Child
    storage: str
    drawn: dict[str, Any]
    telemetry: str

    def env(self, hub: str) -> dict[str, str]:
        return {
            "EVENT_HUB_CONNECTION": self.drawn["connection"],
            "EVENT_HUB_NAME": hub,
            "AzureWebJobsStorage": self.storage,
            "CHARGEBACK_LEDGER": f"{hub}-ledger",
            "CHARGEBACK_CHECKPOINTS": f"{hub}-checkpoints",
            "CHARGEBACK_RATES": str(oracle.SAMPLE_RATES),
            "CHARGEBACK_BALANCING_INTERVAL": str(BALANCING_S),
            "CHARGEBACK_OWNERSHIP_EXPIRY": "60",
            "APPLICATIONINSIGHTS_CONNECTION_STRING": self.telemetry,
        }


@dataclass(frozen=True)
class Drained:
    seconds: float
    cpu_s: float
    committed_s: float
    resident: float = 0


@contextmanager
def stage(
    options: Options, events: int = EVENTS, words: int = 185, in_parts: float = 0.04
) -> Iterator[Stage]:
    with ExitStack() as open_:
        storage = open_.enter_context(azurite.running())
        broker = open_.enter_context(Child("broker"))
        endpoint = open_.enter_context(Child("endpoint"))
        drawn = broker.ask(
            "draw", seed=options.seed, events=events, words=words, partitions=PARTITIONS, in_parts=in_parts
        )
        yield Stage(broker, endpoint, storage, drawn, endpoint.ask("where")["connection"])


def bare(stage: Stage, hub: str, prefetch: int) -> Drained:
    stage.broker.ask("open", hub=hub, partitions=PARTITIONS)
    with Child("bare", BATCH, prefetch, env=stage.env(hub)) as client:
        until(lambda: all(stage.broker.ask("readers", hub=hub)["readers"]))
        _warm_up(stage, hub, [client])
        before = client.ask("status")["cpu_s"]
        stage.broker.ask("fill", hub=hub)
        seconds = until(lambda: client.ask("status")["events"] >= stage.drawn["events"])
        cpu_s = client.ask("status")["cpu_s"] - before
    stage.broker.ask("drop", hub=hub)
    return Drained(seconds, cpu_s, seconds)


def _warm_up(stage: Stage, hub: str, clients: list[Child]) -> None:
    """A few events first: modules, the rate table and the journals are opened once a process, not once an event."""
    stage.broker.ask("fill", hub=hub, first=WARM_UP)
    until(lambda: sum(each.ask("status")["events"] for each in clients) >= WARM_UP * PARTITIONS)


def whole(stage: Stage, hub: str, processes: int) -> Drained:
    stage.broker.ask("open", hub=hub, partitions=PARTITIONS)
    stage.endpoint.ask("reset")
    with ExitStack() as open_:
        consumers = [open_.enter_context(Child("consumer", env=stage.env(hub))) for _ in range(processes)]
        share = PARTITIONS // processes
        until(lambda: [each.ask("status")["partitions"] for each in consumers] == [share] * processes)
        until(lambda: all(stage.broker.ask("readers", hub=hub)["readers"]))
        _warm_up(stage, hub, consumers)
        before = sum(each.ask("status")["cpu_s"] for each in consumers)
        stage.broker.ask("fill", hub=hub)
        events = stage.drawn["events"]
        committed_s = until(lambda: sum(each.ask("status")["events"] for each in consumers) >= events)
        more = until(lambda: stage.endpoint.ask("accepted")["ids"] >= stage.drawn["calls"])
        told = [each.ask("status") for each in consumers]
    check(stage, hub)
    stage.broker.ask("drop", hub=hub)
    return Drained(
        committed_s + more,
        sum(each["cpu_s"] for each in told) - before,
        committed_s,
        max(each["resident"] for each in told),
    )


def check(stage: Stage, hub: str) -> None:
    """Read the ledger as a report would: every event committed once, every call there, the tokens right."""
    from chargeback.charge import Charge
    from chargeback.settings import Settings
    from chargeback.wiring import open_ledger

    os.environ.update(stage.env(hub))
    ledger = open_ledger(None, Settings.load())
    calls: dict[str, int] = {}
    events = 0
    for name in ledger.journals():
        journal = ledger.journal(name)
        watermark = journal.watermark()
        events += watermark.last_seq + 1 if watermark else 0
        for _, row in journal.read():
            if isinstance(row, Charge):
                calls[row.charge_id] = row.prompt_tokens or 0
    found = (events, len(calls), sum(calls.values()))
    expected = tuple(stage.drawn[name] for name in ("events", "calls", "prompt_tokens"))
    if found != expected:
        raise SystemExit(f"figure 8: the ledger says {found} events, calls and tokens, expected {expected}")


def figures(options: Options, events: int = EVENTS) -> Iterator[Figure]:
    if not options.wants("end-to-end"):
        return
    from chargeback.consumer import prefetch
    from chargeback.settings import Settings

    taken: dict[str, list[Drained]] = {"bare": [], "one": [], "two": []}
    with stage(options, events) as on:
        os.environ.update(on.env("none"))
        ahead = prefetch(Settings.load().prefetch_bytes, PARTITIONS)
        for number in range(options.rounds):
            taken["bare"].append(bare(on, f"bare{number}", ahead))
            taken["one"].append(whole(on, f"one{number}", 1))
            taken["two"].append(whole(on, f"two{number}", 2))
        count = on.drawn["events"] - WARM_UP * PARTITIONS
        size = on.drawn["bytes"] / on.drawn["events"]
    rate = {name: count / statistics.median(each.seconds for each in runs) for name, runs in taken.items()}
    cpu = {
        name: statistics.median(each.cpu_s for each in runs) / count * 1000 for name, runs in taken.items()
    }
    yield Figure(
        name="end-to-end",
        what=f"{count:,} events of {size:,.0f} bytes from {PARTITIONS} partitions, billed and confirmed",
        unit="events/s",
        ours=rate["one"],
        others={"the SDK's bare drain": rate["bare"], "two processes": rate["two"]},
        checks=(
            Check("of the bare drain", ratio(rate["one"], rate["bare"]), 0.5, "at least"),
            Check("two processes, x one", ratio(rate["two"], rate["one"]), 1.2, "at least"),
        ),
        note=(
            f"CPU seconds per 1,000 events: {cpu['one']:.3f} one process, {cpu['two']:.3f} two, "
            f"{cpu['bare']:.3f} the bare drain; prefetch {ahead} a partition on both sides"
        ),
    )
