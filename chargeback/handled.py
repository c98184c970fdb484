"""What became of one batch, in numbers: the worker's health is made of these, the bill never is.

They are counted once a batch, from rows that are there anyway.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from chargeback.charge import Charge, contradicts
from chargeback.exchange import JoinState
from chargeback.journal.admission import Admission
from chargeback.journal.rows import Reject
from chargeback.ports import Entry

UNPRICED = ("unpriced", "unmetered")
COUNTED = ("reported", "gateway")
"""Sources that count; an estimate contradicts nobody."""


class Handled(Struct, frozen=True, kw_only=True):
    """What became of a batch; every event is either committed now or was before."""

    committed: int = 0
    """Events."""
    skipped: int = 0
    rows: int = 0
    charges: int = 0
    rejects: int = 0
    reasons: Mapping[str, int] = {}
    """Of the rejects; the reasons are a closed list (``observe.REJECT_REASONS``)."""
    unpriced: int = 0
    estimated: int = 0
    conflicts: int = 0
    """Charges that contradict an earlier one of their call in this batch. Over batches only readers know."""
    gaps: int = 0
    missing: int = 0
    """Events in those gaps."""
    pending: int = 0
    """Calls of the stream that wait for further parts."""
    pending_since: datetime | None = None
    """When the hub got the last part of the one that has waited longest."""
    oldest_at: datetime | None = None
    """When the hub got the oldest event committed now."""
    # What only a clock can tell; None until ``timed``.
    lag_s: float | None = None
    pending_age_s: float | None = None
    batch_s: float | None = None


def handled(admission: Admission, entries: Sequence[Entry], state: JoinState) -> Handled:
    """Count what a batch brought: the rows that were committed, and what still waits after it."""
    rows = [row for entry in entries for row in entry.rows]
    charges = [row for row in rows if isinstance(row, Charge)]
    reasons = Counter(row.reason for row in rows if isinstance(row, Reject))
    return Handled(
        committed=len(entries),
        skipped=admission.skipped,
        rows=len(rows),
        charges=len(charges),
        rejects=reasons.total(),
        reasons=reasons,
        unpriced=sum(each.rating in UNPRICED for each in charges),
        estimated=sum(each.usage_source == "estimated" for each in charges),
        conflicts=_conflicts(charges),
        gaps=len(admission.gaps),
        missing=sum(gap.last - gap.first + 1 for gap in admission.gaps),
        pending=len(state.calls),
        pending_since=_oldest(call.enqueued_at for call in state.calls.values()),
        oldest_at=_oldest(entry.enqueued_at for entry in entries),
    )


def timed(done: Handled, now: datetime, batch_s: float) -> Handled:
    """Return it with ages as of ``now``, which is when the batch was committed."""
    return msgspec.structs.replace(
        done,
        lag_s=_age_s(done.oldest_at, now),
        pending_age_s=_age_s(done.pending_since, now),
        batch_s=round(batch_s, 3),
    )


def _conflicts(charges: Sequence[Charge]) -> int:
    first: dict[str, Charge] = {}
    return sum(
        earlier is not each and earlier.source_format == each.source_format and contradicts(each, earlier)
        for each in charges
        for earlier in (first.setdefault(each.charge_id, each),)
        if each.duplicate_of is None and each.usage_source in COUNTED
    )


def _oldest(times: Iterable[datetime | None]) -> datetime | None:
    return min((at for at in times if at is not None), default=None)


def _age_s(since: datetime | None, now: datetime) -> float | None:
    """Never negative: the hub's clock may be ahead of ours."""
    return None if since is None else round(max(0.0, (now - since).total_seconds()), 3)
