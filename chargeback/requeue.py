"""Dead letters, tried again: after the policy or this program was mended, or telemetry takes the event.

The rows get the names their events gave them the first time. A letter that is billed now is deleted; one
that is rejected again stays where it is.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from chargeback.custom_events import custom_event
from chargeback.errors import UsageError
from chargeback.event import Event, Stream
from chargeback.exchange import JoinState
from chargeback.journal.rows import BillingRow, Commit, End, decode
from chargeback.outbox import Sender
from chargeback.pipeline import Context, expire, process
from chargeback.ports import Entry, Ledger

TELEMETRY = "telemetry/"
LEASE = "requeue"
LEASE_S = 60
_AT_ONCE = 500


class Requeued(Struct, frozen=True):
    """What became of the letters: each is done, or was refused again."""

    done: int
    again: int


def requeue(
    ledger: Ledger, paths: Sequence[str], context: Context, sender: Sender | None, now: datetime
) -> Requeued:
    """Process letters once more. Raises UsageError when somebody else is at it."""
    held = ledger.leases.hold(LEASE, LEASE_S)
    if held is None:
        raise UsageError("another requeue is running; try again when it has ended")
    telemetry = [path for path in paths if path.startswith(TELEMETRY)]
    events = [path for path in paths if not path.startswith(TELEMETRY)]
    done = again = 0
    with held as lease:
        journal = f"source/requeue-{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
        for start in range(0, len(events), _AT_ONCE):
            some = _bill(ledger, journal, events[start : start + _AT_ONCE], context)
            done, again = done + some.done, again + some.again
            lease.renew()
        some = _send(ledger, telemetry, sender)
    return Requeued(done + some.done, again + some.again)


def _bill(ledger: Ledger, journal: str, paths: Sequence[str], context: Context) -> Requeued:
    log = ledger.journal(journal)
    watermark = log.watermark()
    first = watermark.last_seq + 1 if watermark else 1
    found = [(path, ledger.dead_letters.get(path)) for path in paths]
    letters = [(path, *letter) for path, letter in found if letter is not None]
    events = [
        _event(path, body, about.get("enqueued_at"), position)
        for position, (path, body, about) in enumerate(letters, first)
    ]
    patient = msgspec.structs.replace(context, join_timeout=None)
    outcome = process(events, JoinState(), patient)
    entries = [Entry(position=each.position, enqueued_at=None, rows=each.rows) for each in outcome.entries]
    if events:
        # Parts whose other parts are elsewhere: what is here is billed as truncated, and a whole row wins.
        rest, _ = expire(outcome.state, events[-1], None, patient, "end_of_input")
        entries[-1] = msgspec.structs.replace(entries[-1], rows=(*entries[-1].rows, *rest))
        log.append(entries, after=watermark, batch_id=uuid.uuid4().hex)
    refused = {letter.path for letter in outcome.dead_letters}
    for path, _, _ in letters:
        if path not in refused:
            ledger.dead_letters.delete(path)
    return Requeued(len(letters) - len(refused), len(refused) + len(paths) - len(letters))


def _event(path: str, body: bytes, enqueued_at: str | None, position: int) -> Event:
    try:
        namespace, hub, generation, partition, number = path.rsplit("/", 4)
        stream = Stream(namespace, hub, int(generation), partition)
        sequence_number = int(number)
    except ValueError:
        raise UsageError(
            f"dead letter {path!r}: expected namespace/hub/generation/partition/number"
        ) from None
    return Event(
        stream=stream,
        sequence_number=sequence_number,
        position=position,
        body=body,
        enqueued_at=datetime.fromisoformat(enqueued_at) if enqueued_at else None,
    )


def _send(ledger: Ledger, paths: Sequence[str], sender: Sender | None) -> Requeued:
    """Send rows that Application Insights refused; the bill has them all along."""
    if not paths:
        return Requeued(0, 0)
    if sender is None:
        raise UsageError("refused telemetry: set APPLICATIONINSIGHTS_CONNECTION_STRING to send it again")
    kept = [(path, letter[0]) for path in paths if (letter := ledger.dead_letters.get(path)) is not None]
    events = [(path, event) for path, body in kept if (event := custom_event(_row(body))) is not None]
    delivery = sender.send([event for _, event in events])
    open_ = {*delivery.unconfirmed, *(refusal.index for refusal in delivery.refused)}
    for index, (path, _) in enumerate(events):
        if index not in open_:
            ledger.dead_letters.delete(path)
    return Requeued(len(events) - len(open_), len(paths) - len(events) + len(open_))


def _row(body: bytes) -> BillingRow:
    row = decode(body)
    if isinstance(row, Commit | End):
        raise UsageError("refused telemetry: the letter holds no row of a bill")
    return row
