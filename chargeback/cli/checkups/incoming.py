"""What comes in: the hub, whether the gateway still logs to it, and what waits there."""

from datetime import UTC, timedelta

from chargeback.cli.checkups.patient import Patient
from chargeback.cli.checkups.verdicts import AdviceError, TroubleError
from chargeback.errors import UsageError
from chargeback.journal.rows import Commit
from chargeback.ports import Ledger
from chargeback.sources import event_hub
from chargeback.wiring import hub_of, now

_SILENCE = timedelta(hours=24)
"""A gateway that serves people is idle at night, not for a day."""
_LATE = timedelta(minutes=10)
"""Longer than any batch and its retries; far below any retention, after which events are lost."""


def hub(patient: Patient) -> str:
    if isinstance(patient.hub, UsageError):
        raise patient.hub
    named, group = hub_of(patient.settings), patient.settings.event_hub_consumer_group
    asked = "" if any(each.at for each in patient.hub) else " (not asked: the hub is empty)"
    return f"{named.name} at {named.namespace}, {len(patient.hub)} partitions, consumer group {group}{asked}"


def gateway(patient: Patient) -> str:
    newest = max((each.at for each in patient.seen if each.at), default=None)
    if newest is None:
        raise AdviceError(
            "no event has come since the hub was made, or retention has taken them all; does the policy log to this "
            "hub? See docs/gateway-policies.md"
        )
    age = now() - newest.astimezone(UTC)
    if age > _SILENCE:
        raise AdviceError(
            f"silent for {int(age.total_seconds() / 3600)} h; if people call it, check the logger, its identity and the "
            "policy (docs/gateway-policies.md)"
        )
    return f"its newest event came {max(0, int(age.total_seconds()))} s ago"


def lag(patient: Patient) -> str:
    """Compare the hub's numbers with the journals' watermarks."""
    ledger, waiting, late = patient.stored, 0, timedelta(0)
    for each in patient.seen:
        done = _billed(patient, ledger, each.partition)
        if each.at is None:
            continue
        if done is not None and each.first > done.last_seq + 1:
            raise TroubleError(
                f"partition {each.partition}: events {done.last_seq + 1} to {each.first - 1} left the hub before they "
                "were billed; `chargeback repair` with Capture files, then more processes or a longer retention"
            )
        here = each.last - (each.first - 1 if done is None else done.last_seq)
        waiting += here
        if here and done and done.last_enqueued_time:
            late = max(late, each.at.astimezone(UTC) - done.last_enqueued_time)
    if late > _LATE:
        raise AdviceError(
            f"{waiting} events wait, up to {int(late.total_seconds() / 60)} min behind the newest; is the worker "
            "running, and are there enough processes?"
        )
    return f"{waiting} events wait to be billed" if waiting else "everything in the hub is billed"


def _billed(patient: Patient, ledger: Ledger, partition: str) -> Commit | None:
    stream = event_hub.stream_of(hub_of(patient.settings), patient.settings.generation, partition)
    name = f"stream/{stream}"
    return ledger.journal(name).refresh() if name in ledger.journals() else None
