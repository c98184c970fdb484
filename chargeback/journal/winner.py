"""One rule for every reader: which row of a call gives usage and money, and what the others add.

Winner: the smallest ``rank`` (complete, then reported, gateway, estimated, missing, then the earliest).
Merge: who and where, as far as the winner lacks it, from the call's other rows, our own ``identity`` events
before anything else; the cost centre goes with whoever named the caller first. Conflict: two rows of one
format whose counts (of the service, or of the gateway) differ for one call; neither is dropped, both are
marked, and a period with one cannot be closed.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from chargeback.charge import Charge, contradicts, counts_of
from chargeback.facts import FACT_FIELDS, Facts, merge
from chargeback.journal.rows import BillingRow, Identity

OWN_FORMAT = "v1"
PAYERS = ("subscription_id", "app_id", "product")


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
    """Return the rows that count another usage from the same kind of source, each count once."""
    if winner.usage_source not in ("reported", "gateway"):
        return []
    by_counts: dict[tuple[Any, ...], Charge] = {}
    for other in others:
        same = other.usage_source == winner.usage_source and other.truncated == winner.truncated
        if same and other.source_format == winner.source_format and contradicts(other, winner):
            by_counts.setdefault(counts_of(other), other)
    return list(by_counts.values())


def _merged(charge: Charge, identities: Iterable[Identity], rows: Iterable[Charge]) -> Charge:
    own_first = sorted(identities, key=lambda row: (row.source_format != OWN_FORMAT, row.rank, row.row_id))
    others = [row for row in rows if row is not charge]
    if not own_first and not others:
        return charge
    mine = facts_of(charge)
    merged = merge(mine, *(row.facts for row in own_first), *(facts_of(row) for row in others))
    if merged == mine:
        return charge
    known = {name: value for name in FACT_FIELDS if (value := getattr(merged, name)) is not None}
    if not any(getattr(mine, name) for name in PAYERS):
        told = (row for row in (*own_first, *others) if any(getattr(_facts(row), name) for name in PAYERS))
        payer = next((row.cost_centre for row in told if row.cost_centre), None)
        known["cost_centre"] = payer or charge.cost_centre
    return msgspec.structs.replace(charge, **known)


def _facts(row: Charge | Identity) -> Facts:
    return row.facts if isinstance(row, Identity) else facts_of(row)


def facts_of(charge: Charge) -> Facts:
    """Return who and where of a charge; its operation ``unknown`` counts as lacking."""
    known: dict[str, Any] = {name: getattr(charge, name) for name in FACT_FIELDS}
    known["operation"] = None if charge.operation == "unknown" else charge.operation
    return Facts(**known)
