"""Gaps, read again: events the platform skipped, from the hub or from Capture, into a journal of their own.

    ... 97 98 99 [100 ... 119] 120 121 ...
        └ around ┘└── gap ───┘└ around ┘

What lies around a gap was billed already; it is read along for calls whose parts lie on both sides of the
gap's edge, which nobody could put together before. Rows keep the names their events give them, so a range
repaired twice counts once.
"""

import uuid
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from chargeback import observe
from chargeback.charge import Charge
from chargeback.event import Event, Stream
from chargeback.exchange import JoinState
from chargeback.journal.gaps import REPAIR, OpenGap, runs
from chargeback.journal.rows import BillingRow, Repaired
from chargeback.pipeline import Context, Outcome, expire, process
from chargeback.ports import Entry, Ledger

AROUND = 500
"""Events on each side of a gap: parts of one call follow each other closely."""


class Repair(Struct, frozen=True):
    """What became of one gap."""

    found: int
    missing: int
    charges: int


def stream_of(gap: OpenGap) -> Stream:
    namespace, hub, generation, partition = gap.stream.split("/")
    return Stream(namespace, hub, int(generation), partition)


def repair(ledger: Ledger, gap: OpenGap, events: Iterable[Event], context: Context) -> Repair:
    """Bill what ``events`` holds of a gap; others of the same stream are taken as what lies around it."""
    around = msgspec.structs.replace(context, join_timeout=None)
    before, inside, behind = _parted(gap, events)
    if not inside:
        return Repair(0, gap.count, 0)
    earlier = process(before, JoinState(), around)
    outcome = process(inside, earlier.state, around)
    # Calls that waited before the gap and got nothing in it are none of its business.
    waiting = {key: call for key, call in outcome.state.calls.items() if call != earlier.state.calls.get(key)}
    later = process(behind, JoinState(waiting), around)
    late = _new_in(later, process(behind, JoinState(), around))
    given_up, _ = expire(_still(later.state, waiting), inside[-1], None, around, "join_timeout")
    rows = [
        *late,
        *given_up,
        *(Repaired(first=a, last=b) for a, b in runs([e.sequence_number for e in inside])),
    ]
    _keep(ledger, outcome, inside)
    _append(ledger, gap, outcome, tuple(rows))
    charges = len(_charges(outcome)) + len(late) + len(given_up)
    done = Repair(len(inside), gap.count - len(inside), charges)
    observe.log("gap.repaired", gap=str(gap), found=done.found, missing=done.missing, charges=done.charges)
    return done


def _parted(gap: OpenGap, events: Iterable[Event]) -> tuple[list[Event], list[Event], list[Event]]:
    by_number = {event.sequence_number: event for event in events if str(event.stream) == gap.stream}
    ordered = [by_number[number] for number in sorted(by_number)]
    return (
        [event for event in ordered if gap.first - AROUND <= event.sequence_number < gap.first],
        [event for event in ordered if gap.first <= event.sequence_number <= gap.last],
        [event for event in ordered if gap.last < event.sequence_number <= gap.last + AROUND],
    )


def _new_in(outcome: Outcome, plain: Outcome) -> list[Charge]:
    """Return the charges that owe themselves to what waited; those of ``plain`` come about without it."""
    known = {row.row_id for row in _charges(plain)}
    return [row for row in _charges(outcome) if row.row_id not in known]


def _charges(outcome: Outcome) -> list[Charge]:
    return [row for entry in outcome.entries for row in entry.rows if isinstance(row, Charge)]


def _still(state: JoinState, waiting: Iterable[str]) -> JoinState:
    return JoinState({key: state.calls[key] for key in waiting if key in state.calls})


def _keep(ledger: Ledger, outcome: Outcome, events: Sequence[Event]) -> None:
    times = {str(event): event.enqueued_at for event in events}
    for letter in outcome.dead_letters:
        about = {"holds": "dead_letter", "reason": letter.reason, "message": letter.message}
        at = times.get(letter.path)
        ledger.dead_letters.put(
            letter.path, letter.body, about | ({"enqueued_at": at.isoformat()} if at else {})
        )


def _append(ledger: Ledger, gap: OpenGap, outcome: Outcome, last: tuple[BillingRow, ...]) -> None:
    journal = ledger.journal(REPAIR + gap.stream)
    watermark = journal.refresh()
    first = watermark.last_seq + 1 if watermark else 1
    # Positions here are ordinals: gaps may be repaired in any order.
    entries = [
        Entry(position=position, enqueued_at=None, rows=entry.rows)
        for position, entry in enumerate(outcome.entries, first)
    ]
    entries.append(Entry(position=first + len(entries), enqueued_at=None, rows=last))
    journal.append(entries, after=watermark, batch_id=uuid.uuid4().hex)
