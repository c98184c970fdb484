"""``chargeback doctor``: everything the worker leans on, one line and one remedy each."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
import typer

from chargeback.errors import ChargebackError, UsageError
from chargeback.journal.gaps import open_gaps
from chargeback.journal.rows import Charge, Identity, Ignored, Reject
from chargeback.ports import Ledger, Position
from chargeback.rates.load import parse
from chargeback.settings import Settings
from chargeback.sinks.connection_string import parse_connection_string
from chargeback.sources import event_hub
from chargeback.stream_worker import REJECT_WINDOW
from chargeback.wiring import hub_of, now, open_ledger, rates_of, settings

_CONNECT_S = 5


class TroubleError(UsageError):
    """A check that failed: what, and what to do about it."""


def doctor() -> None:
    """Check settings, rate table, vocabulary, storage, hub, ingestion endpoint, backlog, gaps and rejects.

    Exit code 1 if something is wrong.
    """
    configured = settings()
    typer.echo("ok    settings: every one can be read")
    failed = 0
    for name, check in _checks(configured):
        try:
            typer.echo(f"ok    {name}: {check()}")
        except (ChargebackError, OSError, UnicodeDecodeError) as error:
            failed += 1
            typer.echo(f"FAIL  {name}: {error}")
    if failed:
        raise typer.Exit(1)


def _checks(configured: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "rate table", lambda: _rates(configured)
    yield "vocabulary", _vocabulary
    yield "storage", lambda: _storage(configured)
    yield "hub", lambda: _hub(configured)
    yield "telemetry", lambda: _ingestion(configured)
    yield "backlog", lambda: _backlog(open_ledger(None, configured))
    yield "gaps", lambda: _gaps(open_ledger(None, configured))
    yield "rejects", lambda: _rejects(open_ledger(None, configured))


def _rates(configured: Settings) -> str:
    read, source = rates_of(configured)
    return f"{source}, version {parse(read(), source=source).version}"


def _vocabulary() -> str:
    from chargeback.tokens.encodings import tokens_of  # noqa: PLC0415  it takes a second

    tokens_of("one", "o200k_base")
    return "o200k_base can be read"


def _storage(configured: Settings) -> str:
    ledger = open_ledger(None, configured)
    held = ledger.leases.hold("doctor", 15)
    if held is None:
        return f"{configured.ledger} can be written (another doctor is there)"
    with held:
        return f"{configured.ledger} can be written, {len(ledger.journals())} journals"


def _hub(configured: Settings) -> str:
    hub = hub_of(configured)

    async def ask() -> list[str]:
        async with event_hub.consumer_client(
            hub, configured.event_hub_consumer_group, retry_total=0
        ) as client:
            return await client.get_partition_ids()

    try:
        ids = asyncio.run(ask())
    except Exception as error:  # noqa: BLE001  whatever the SDK raises, the hub does not answer
        raise TroubleError(
            f"{hub.name} at {hub.namespace} does not answer ({type(error).__name__}); check EVENT_HUB_NAME, the "
            "network, and the right to listen (role Azure Event Hubs Data Receiver)"
        ) from None
    return f"{hub.name} at {hub.namespace}, {len(ids)} partitions"


def _ingestion(configured: Settings) -> str:
    if configured.telemetry == "none" or configured.application_insights is None:
        return "off, nothing is sent"
    url = urlsplit(parse_connection_string(configured.application_insights.get_secret_value()).url)
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except OSError:
        raise TroubleError(
            f"{host}:{port} cannot be reached; check DNS, the firewall, or the private link scope. Billing goes on "
            "without it"
        ) from None
    return f"{host}:{port} can be reached"


def _backlog(ledger: Ledger) -> str:
    waiting = [name for name in ledger.journals() if name.startswith("stream/") and _is_behind(ledger, name)]
    if waiting:
        oldest = min(filter(None, (_oldest(ledger, name) for name in waiting)), default=None)
        age = f", the oldest for {int((now() - oldest).total_seconds())} s" if oldest else ""
        raise TroubleError(
            f"{len(waiting)} journals hold charges Application Insights has not confirmed{age}; wait while it shrinks, "
            "else see the check `telemetry`"
        )
    return "everything is confirmed"


def _cursor(ledger: Ledger, name: str) -> Position | None:
    loaded = ledger.cursors.load(name)
    return msgspec.json.decode(loaded[0], type=Position) if loaded else None


def _is_behind(ledger: Ledger, name: str) -> bool:
    return next(iter(ledger.journal(name).read(after=_cursor(ledger, name))), None) is not None


def _oldest(ledger: Ledger, name: str) -> datetime | None:
    found = next(iter(ledger.journal(name).read(after=_cursor(ledger, name))), None)
    return getattr(found[1], "enqueued_at", None) if found else None


def _gaps(ledger: Ledger) -> str:
    gaps = open_gaps(ledger)
    if gaps:
        missing = sum(gap.count for gap in gaps)
        raise TroubleError(
            f"{missing} events in {len(gaps)} gaps were skipped by the platform, the first at {gaps[0]}; run "
            "`chargeback repair` while the hub or Capture still has them"
        )
    return "no event is missing"


def _rejects(ledger: Ledger) -> str:
    letters = sum(1 for _ in ledger.dead_letters.list())
    for name in ledger.journals():
        rejected, seen = _rejected(ledger, name) if name.startswith("stream/") else (0, 0)
        if seen == REJECT_WINDOW and rejected * 2 > seen:
            raise TroubleError(
                f"{rejected} of the last {seen} events of {name} were rejected; a policy writes what the worker cannot "
                "read: `chargeback dead-letters list`"
            )
    return f"{letters} dead letters" + (", see `chargeback dead-letters list`" if letters else "")


def _rejected(ledger: Ledger, name: str) -> tuple[int, int]:
    """Count rejects among the last events, as far as the newest segment goes back."""
    journal = ledger.journal(name)
    end = journal.committed()
    if end is None:
        return 0, 0
    rows = (row for _, row in journal.read(after=Position(end.segment, 0)))
    last = deque(
        (isinstance(row, Reject) for row in rows if isinstance(row, Charge | Identity | Ignored | Reject)),
        maxlen=REJECT_WINDOW,
    )
    return sum(last), len(last)
