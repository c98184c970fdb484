"""Which events of a batch are new, what is missing before them, and whether it is still the same hub."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from chargeback.errors import StopError
from chargeback.event import Event
from chargeback.journal.rows import Commit, Gap


class Admission(Struct, frozen=True):
    events: tuple[Event, ...]
    """Ascending by position, each once, all above the watermark."""
    skipped: int
    """Redelivered, or twice in the batch."""
    gaps: tuple[Gap, ...]
    """Numbers that are missing: the hub counts densely, so events were skipped by the platform."""


def admit(watermark: Commit | None, events: Sequence[Event]) -> Admission:
    """Raise ``StopError`` when an old number carries a new event: the hub was re-created."""
    ordered = {event.position: event for event in sorted(events, key=lambda event: event.position)}
    if watermark is None:
        new = tuple(ordered.values())
        return Admission(new, len(events) - len(new), _gaps(event.position for event in new))
    old = (event for position, event in ordered.items() if position <= watermark.last_seq)
    _check_same_hub(watermark, old)
    new = tuple(event for position, event in ordered.items() if position > watermark.last_seq)
    gaps = _gaps((watermark.last_seq, *(event.position for event in new)))
    return Admission(new, len(events) - len(new), gaps)


def _gaps(positions: Iterable[int]) -> tuple[Gap, ...]:
    return tuple(
        Gap(first=before + 1, last=behind - 1)
        for before, behind in pairwise(positions)
        if behind > before + 1
    )


def _check_same_hub(watermark: Commit, old: Iterable[Event]) -> None:
    latest = watermark.last_enqueued_time
    if latest is None:
        return
    for event in old:
        if event.enqueued_at is not None and event.enqueued_at > latest:
            raise StopError(
                f"event {event} was enqueued at {event.enqueued_at.isoformat()}, but the journal has "
                f"{watermark.last_seq}, a later number, from {latest.isoformat()}: the hub was deleted and "
                "re-created, and counts anew. Raise CHARGEBACK_GENERATION by one, so that both lives are "
                "billed apart"
            )
