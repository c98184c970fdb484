"""Ours minus theirs, cell by cell: what agrees, what does not, and what is the likely cause."""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

from msgspec import Struct

from chargeback.rating import EXACT
from chargeback.reconcile.counts import Cell, Count, summed
from chargeback.reconcile.ours import Known

TOLERANCE = Decimal("0.001")
"""Tokens agree within a tenth of a percent: what is counted at midnight falls on either day."""
UNKNOWN = "*"


class Difference(Struct, frozen=True, kw_only=True):
    """One cell of both sides."""

    cell: Cell
    ours: Count | None
    theirs: Count | None
    agrees: bool
    causes: tuple[str, ...] = ()

    @property
    def tokens(self) -> Decimal:
        """Ours minus theirs."""
        ours = self.ours.quantity if self.ours else Decimal(0)
        theirs = self.theirs.quantity if self.theirs else Decimal(0)
        return EXACT.subtract(ours, theirs)

    @property
    def money(self) -> Decimal | None:
        """Ours minus theirs, at list prices against the invoice; None where a side has none."""
        ours = self.ours.money if self.ours else None
        theirs = self.theirs.money if self.theirs else None
        return None if ours is None or theirs is None else EXACT.subtract(ours, theirs)


def compare(
    ours: Iterable[tuple[Cell, Count]],
    theirs: Iterable[tuple[Cell, Count]],
    known: Mapping[tuple[date, str], Known],
    *,
    tolerance: Decimal = TOLERANCE,
    last_day: date | None = None,
) -> list[Difference]:
    """Return a difference for every cell theirs has a word for. Deployments they do not tell are added up."""
    their_cells = summed(theirs)
    blind = all(cell.deployment == UNKNOWN for cell in their_cells)
    our_cells = summed((_blinded(cell, blind=blind), count) for cell, count in ours)
    said = {(cell.meter) for cell in their_cells}
    days = {cell.day for cell in their_cells}
    cells = {cell for cell in our_cells if cell.meter in said and cell.day in days} | set(their_cells)
    gaps = _blinded_gaps(known) if blind else dict(known)
    return [
        _difference(cell, our_cells.get(cell), their_cells.get(cell), gaps, tolerance, last_day)
        for cell in sorted(cells)
    ]


def _blinded(cell: Cell, *, blind: bool) -> Cell:
    return Cell(cell.day, UNKNOWN, cell.meter) if blind else cell


def _blinded_gaps(known: Mapping[tuple[date, str], Known]) -> dict[tuple[date, str], Known]:
    found: dict[tuple[date, str], Known] = {}
    for (day, _), each in known.items():
        before = found.get((day, UNKNOWN), Known())
        names = Known.__struct_fields__
        found[day, UNKNOWN] = Known(**{name: getattr(before, name) + getattr(each, name) for name in names})
    return found


def _difference(
    cell: Cell,
    ours: Count | None,
    theirs: Count | None,
    gaps: Mapping[tuple[date, str], Known],
    tolerance: Decimal,
    last_day: date | None,
) -> Difference:
    found = Difference(cell=cell, ours=ours, theirs=theirs, agrees=False)
    scale = max(abs(each.quantity) for each in (ours, theirs) if each is not None)
    agrees = abs(found.tokens) <= scale * tolerance
    gap = gaps.get((cell.day, cell.deployment), Known())
    causes = _of_money(found, tolerance) if agrees else _causes(found, gap, last_day)
    return Difference(cell=cell, ours=ours, theirs=theirs, agrees=agrees, causes=causes)


def _of_money(found: Difference, tolerance: Decimal) -> tuple[str, ...]:
    """Say why the same tokens cost another sum. It is no disagreement: the invoice may have its own prices."""
    theirs = found.theirs.money if found.theirs else None
    if found.money is None or theirs is None or abs(found.money) <= abs(theirs) * tolerance:
        return ()
    return ("same tokens, another price: negotiated against list, a price of another date, or a credit",)


def _causes(found: Difference, gap: Known, last_day: date | None) -> tuple[str, ...]:
    causes: list[str] = []
    if last_day is not None and found.cell.day >= last_day:
        causes.append("late data: the newest day is not complete on either side")
    if found.tokens > 0:
        causes += _too_much(found, gap)
    else:
        causes += _too_little(found, gap)
    return tuple(causes)


def _too_little(found: Difference, gap: Known) -> list[str]:
    """Theirs is more: calls we did not see, or saw without usage."""
    causes: list[str] = []
    if gap.unmetered:
        causes.append(
            f"{gap.unmetered} calls are charged without usage (400, 408, or an answer that had none)"
        )
    if gap.aborted:
        causes.append(f"{gap.aborted} answers were cut or aborted: what came later was not seen")
    if gap.batch:
        causes.append(f"{gap.batch} batch calls: their usage is in output files, not in answers")
    if gap.estimated:
        causes.append(f"{gap.estimated} calls are estimated")
    if found.ours is None or not causes:
        causes.append("calls past the gateway: a key or identity that goes to the resource itself")
    return causes


def _too_much(found: Difference, gap: Known) -> list[str]:
    """Ours is more: something twice, or estimated too high."""
    causes: list[str] = []
    if gap.conflicts:
        causes.append(f"{gap.conflicts} calls have contradicting counts")
    if gap.estimated:
        causes.append(f"{gap.estimated} calls are estimated, perhaps too high")
    if found.theirs is None:
        causes.append("the other side has nothing: another deployment name, another account, or a filter")
    if not causes:
        causes.append("a call counted twice under two identities, or answered from a cache of the gateway")
    return causes
