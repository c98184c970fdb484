"""One rule for every reader: which row of a call gives usage and money, and what the others add.

Winner: the smallest ``rank`` (complete, then reported, gateway, estimated, missing, then the earliest).
Merge: who and where, as far as the winner lacks it, from the call's other rows, our own ``identity`` events
before anything else. Conflict: two rows of one format that report different usage for one call; neither is
dropped, both are marked, and a period with one cannot be closed.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from chargeback.charge import Charge
from chargeback.facts import FACT_FIELDS, Facts, merge
from chargeback.journal.rows import BillingRow, Identity
from chargeback.usage import Usage

OWN_FORMAT = "v1"
_COUNTS = tuple(name for name in Usage.__struct_fields__ if name not in ("source", "notes"))


class Call(Struct, frozen=True):
    """One line of the bill, after winner and merge."""

    charge: Charge
    rows: int
    """How many charge rows the call has."""
    conflict: bool = False


class _Rows:
    """The rows of one call while they are collected."""

    __slots__ = ("charges", "identities")

    def __init__(self) -> None:
        self.charges: dict[str, Charge] = {}
        self.identities: dict[str, Identity] = {}


def calls(rows: Iterable[BillingRow]) -> Iterator[Call]:
    """Yield every call once (a conflicting one once for each count), in order of first appearance."""
    by_call: dict[str, _Rows] = {}
    for row in rows:
        if isinstance(row, Charge):
            # Two journals may hold the same row: a requeued event, a call expired by owner and by timer.
            by_call.setdefault(row.charge_id, _Rows()).charges.setdefault(row.row_id, row)
        elif isinstance(row, Identity):
            by_call.setdefault(row.charge_id, _Rows()).identities.setdefault(row.row_id, row)
    for found in by_call.values():
        if found.charges:
            yield from _of_one(found)


def _of_one(found: _Rows) -> Iterator[Call]:
    ordered = sorted(found.charges.values(), key=lambda charge: (charge.rank, charge.row_id))
    winner, others = ordered[0], ordered[1:]
    rivals = _rivals(winner, others)
    for charge in (winner, *rivals):
        merged = _merged(charge, found.identities.values(), ordered)
        yield Call(merged, rows=len(ordered), conflict=bool(rivals))


def _rivals(winner: Charge, others: Iterable[Charge]) -> list[Charge]:
    """Return the rows that report another usage from the same kind of source, each count once."""
    if winner.usage_source != "reported":
        return []
    by_counts = {_counts(winner): winner}
    for other in others:
        if other.usage_source == "reported" and other.source_format == winner.source_format:
            by_counts.setdefault(_counts(other), other)
    return list(by_counts.values())[1:]


def _counts(charge: Charge) -> tuple[int | None, ...]:
    return tuple(getattr(charge, name) for name in _COUNTS)


def _merged(charge: Charge, identities: Iterable[Identity], rows: Iterable[Charge]) -> Charge:
    own_first = sorted(identities, key=lambda row: (row.source_format != OWN_FORMAT, row.rank, row.row_id))
    others = [row for row in rows if row is not charge]
    if not own_first and not others:
        return charge
    mine = facts_of(charge)
    merged = merge(mine, *(row.facts for row in own_first), *(facts_of(row) for row in others))
    if merged == mine:
        return charge
    return msgspec.structs.replace(charge, **msgspec.structs.asdict(merged))


def facts_of(charge: Charge) -> Facts:
    """Return who and where of a charge; its operation ``unknown`` counts as lacking."""
    known: dict[str, Any] = {name: getattr(charge, name) for name in FACT_FIELDS}
    known["operation"] = None if charge.operation == "unknown" else charge.operation
    return Facts(**known)
