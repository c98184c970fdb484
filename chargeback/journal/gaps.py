"""Numbers of a stream that nobody has billed: what the journals call a gap, less what was read again."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from chargeback.journal.rows import BillingRow, Gap, Repaired
from chargeback.ports import Ledger

STREAM, REPAIR = "stream/", "repair/"


class OpenGap(Struct, frozen=True, order=True):
    """``first`` to ``last`` of ``stream`` (namespace/hub/generation/partition), both missing."""

    stream: str
    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.stream} {self.first} to {self.last}"


def open_gaps(ledger: Ledger) -> list[OpenGap]:
    """Read the stream and repair journals and return what is still missing, ascending."""
    names = ledger.journals()
    found: list[OpenGap] = []
    for name in names:
        if name.startswith(STREAM):
            stream = name.removeprefix(STREAM)
            gaps = _ranges((row for _, row in ledger.journal(name).read()), Gap)
            repair = REPAIR + stream
            done = (
                _ranges((row for _, row in ledger.journal(repair).read()), Repaired)
                if gaps and repair in names
                else []
            )
            found += [OpenGap(stream, *rest) for gap in gaps for rest in without(gap, done)]
    return sorted(found)


def _ranges(rows: Iterable[BillingRow], kind: type[Gap | Repaired]) -> list[tuple[int, int]]:
    return [
        (row.first, row.last) for row in rows if isinstance(row, Gap | Repaired) and isinstance(row, kind)
    ]


def without(gap: tuple[int, int], done: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what remains of a range when others are taken out; all ends belong to their ranges."""
    first, last = gap
    left: list[tuple[int, int]] = []
    for begin, end in sorted(done):
        if end < first or begin > last:
            continue
        if begin > first:
            left.append((first, begin - 1))
        first = max(first, end + 1)
    return [*left, (first, last)] if first <= last else left


def runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the ranges of ascending numbers: 1 2 3 7 -> 1 to 3, 7 to 7."""
    if not numbers:
        return []
    breaks = [(a, b) for a, b in pairwise(numbers) if b != a + 1]
    starts = [numbers[0], *(b for _, b in breaks)]
    ends = [*(a for a, _ in breaks), numbers[-1]]
    return list(zip(starts, ends, strict=True))
