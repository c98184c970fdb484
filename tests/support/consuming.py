"""Consumers of the standalone host inside a test: broker, Azurite, ingestion endpoint, settings to match."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from chargeback.charge import Charge
from chargeback.consumer import Consumer, consumer
from chargeback.journal.rows import Identity, Ignored, Part, Reject
from chargeback.ports import Ledger
from chargeback.settings import Settings
from chargeback.wiring import make_worker, open_ledger
from chargeback.worker import Worker
from tests.support import oracle
from tests.support.broker import Broker

HUB = "usage"
QUICK = {
    "CHARGEBACK_BALANCING_INTERVAL": "0.5",
    "CHARGEBACK_OWNERSHIP_EXPIRY": "2",
    "CHARGEBACK_SETTLE_INTERVAL": "0.5",
    "CHARGEBACK_TELEMETRY_DEADLINE": "2",
    "CHARGEBACK_BATCH_EVENTS": "50",
}


def environment(broker: Broker, storage: str, ledger: str, telemetry: str | None) -> dict[str, str]:
    """What the consumer's process sees; ``telemetry`` None: none is wanted."""
    told = {"CHARGEBACK_TELEMETRY": "none"}
    if telemetry:
        told = {"APPLICATIONINSIGHTS_CONNECTION_STRING": telemetry}
    return {
        **QUICK,
        **told,
        "EVENT_HUB_CONNECTION": broker.connection_string(),
        "EVENT_HUB_NAME": HUB,
        "AzureWebJobsStorage": storage,
        "CHARGEBACK_LEDGER": ledger,
        "CHARGEBACK_CHECKPOINTS": f"{ledger}-checkpoints",
        "CHARGEBACK_RATES": str(oracle.SAMPLE_RATES),
    }


@asynccontextmanager
async def running(
    settings: Settings, wrap: Callable[[Worker], object] = lambda worker: worker
) -> AsyncIterator[Consumer]:
    """Run one consumer while the block runs, and stop it as SIGTERM would. Raises what ``run`` raises."""
    async with consumer(settings, wrap(make_worker(settings))) as made:
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            made.stop()
            await task


async def until(true: Callable[[], object], seconds: float = 30) -> None:
    """Wait until something holds; what it looks at is changed by other threads."""
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(true):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        await asyncio.sleep(0.05)


def positions(ledger: Ledger) -> dict[str, list[int]]:
    """The sequence numbers of every stream's committed rows, in order, one for each event."""
    found: dict[str, list[int]] = {}
    for name in ledger.journals():
        if not name.startswith("stream/"):
            continue
        for _, row in ledger.journal(name).read():
            number = number_of(row)
            if number is not None:
                found.setdefault(name.rpartition("/")[2], []).append(number)
    return found


def number_of(row: object) -> int | None:
    """The number of the event a row came from; None for rows that are of no event."""
    match row:
        case Charge() if "join_timeout" in row.usage_notes:
            return None
        case Part():
            return int(row.row_id.split("/")[4])
        case Charge() if row.source_format == "v1" and row.usage_source == "estimated":
            return None  # the part that completed it has a row of its own
        case Charge() | Identity() | Reject() | Ignored():
            return int(row.row_id.split("/")[4])
        case _:
            return None


@contextlib.contextmanager
def in_environment(monkeypatch, told: Mapping[str, str]):
    """Settings are read from the environment: put it there."""
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    yield Settings.load()


def opened(settings: Settings) -> Ledger:
    return open_ledger(None, settings)
