"""What goes out: telemetry and its backlog, what is missing, what was rejected."""

import socket
from collections import deque
from datetime import datetime
from urllib.parse import urlsplit

import msgspec

from chargeback.cli.checkups.patient import Patient
from chargeback.cli.checkups.verdicts import SkippedError, TroubleError
from chargeback.journal.gaps import open_gaps
from chargeback.journal.rows import Charge, Identity, Ignored, Reject
from chargeback.ports import Ledger, Position
from chargeback.sinks.connection_string import parse_connection_string
from chargeback.stream_worker import REJECT_WINDOW
from chargeback.wiring import now

_CONNECT_S = 5


def ingestion(patient: Patient) -> str:
    configured = patient.settings
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


def backlog(patient: Patient) -> str:
    if patient.settings.telemetry == "none" or patient.settings.application_insights is None:
        raise SkippedError("telemetry is off")
    ledger = patient.stored
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


def gaps(patient: Patient) -> str:
    found = open_gaps(patient.stored)
    if found:
        missing = sum(gap.count for gap in found)
        raise TroubleError(
            f"{missing} events in {len(found)} gaps were skipped by the platform, the first at {found[0]}; run "
            "`chargeback repair` while the hub or Capture still has them"
        )
    return "no event is missing"


def rejects(patient: Patient) -> str:
    ledger = patient.stored
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
