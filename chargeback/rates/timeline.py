"""What held when: values over half-open intervals ``[start, end)`` that do not overlap."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Generic, TypeVar

T = TypeVar("T")

BEGINNING = datetime.min.replace(tzinfo=UTC)

Interval = tuple[datetime | None, datetime | None, T]


class Timeline(Generic[T]):
    """Immutable. ``None`` as start is always before, as end always after."""

    __slots__ = ("_ends", "_starts", "_values")

    def __init__(self, intervals: Iterable[Interval[T]]) -> None:
        rows = sorted(intervals, key=lambda row: row[0] or BEGINNING)
        self._starts = [start or BEGINNING for start, _, _ in rows]
        self._ends = [end for _, end, _ in rows]
        self._values = [value for _, _, value in rows]

    def at(self, instant: datetime) -> T | None:
        index = bisect_right(self._starts, instant) - 1
        if index < 0:
            return None
        end = self._ends[index]
        return self._values[index] if end is None or instant < end else None

    def __iter__(self) -> Iterator[Interval[T]]:
        return iter(zip(self._starts, self._ends, self._values, strict=True))


def uncovered(
    intervals: Iterable[tuple[datetime | None, datetime | None]], start: datetime | None, end: datetime | None
) -> datetime | None:
    """Return the first instant of ``[start, end)`` that no interval covers; None when all is covered."""
    reached = start or BEGINNING
    for begin, until in sorted(intervals, key=lambda row: row[0] or BEGINNING):
        if (begin or BEGINNING) > reached:
            break
        if until is None:
            return None
        reached = max(reached, until)
    return reached if end is None or reached < end else None
