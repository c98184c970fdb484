"""What a standalone consumer says of itself: the status line and the health endpoint, for one process or several.

The catalogue with meaning, healthy range and remedy of each field is ``observe.METRICS``.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from chargeback.handled import Handled


class Status(Struct, frozen=True, kw_only=True):
    """Counts are since the start; ages and ``pending`` are of the last batch of each partition owned."""

    healthy: bool = True
    partitions: int = 0
    events: int = 0
    events_per_s: float = 0.0
    skipped: int = 0
    redelivered: int = 0
    """Batches that failed and were read again."""
    lag: int = 0
    """Events in the hub behind what was committed, of the partitions owned."""
    lag_s: float | None = None
    batch_s: float | None = None
    charges: int = 0
    rejects: int = 0
    unpriced: int = 0
    estimated: int = 0
    conflicts: int = 0
    missing: int = 0
    pending: int = 0
    pending_age_s: float | None = None
    backlog: int = 0
    oldest_unsent_s: float | None = None


SUMS = ("skipped", "charges", "rejects", "unpriced", "estimated", "conflicts", "missing")
WORST = ("lag_s", "batch_s", "pending_age_s")
_ADDED = ("partitions", "events", "events_per_s", "redelivered", "lag", "pending", *SUMS)


class Vitals:
    """Adds up what batches brought since the start; of ages it keeps the last one of each partition."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(SUMS, 0)
        self._last: dict[str, Handled] = {}

    def took(self, partition: str, done: Handled) -> None:
        for name in SUMS:
            self._sums[name] += getattr(done, name)
        if done.committed:
            self._last[partition] = done

    def left(self, partition: str) -> None:
        """Forget the ages of a partition that another process owns now."""
        self._last.pop(partition, None)

    def fields(self) -> dict[str, Any]:
        """Return the fields of ``Status`` that batches tell."""
        last = list(self._last.values())
        ages = {name: _worst(getattr(each, name) for each in last) for name in WORST}
        return {**self._sums, **ages, "pending": sum(each.pending for each in last)}


def together(told: Sequence[Status], *, healthy: bool) -> Status:
    """Return what several processes say as one: counts add up, of ages the worst holds."""
    fields: dict[str, Any] = {name: sum(getattr(each, name) for each in told) for name in _ADDED}
    fields |= {name: _worst(getattr(each, name) for each in told) for name in (*WORST, "oldest_unsent_s")}
    # The backlog is the ledger's, not a process's: whoever looked last tells all of it.
    backlog = max((each.backlog for each in told), default=0)
    return Status(
        healthy=healthy, backlog=backlog, **fields | {"events_per_s": round(fields["events_per_s"], 1)}
    )


def _worst(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)
