"""Captured events from files through the same pipeline as live ones, with or without a ledger.

All files together are one source with one journal, named by their content: what was replayed before is
skipped, and parts of a call join across files. Nothing expires before the end of the input.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from chargeback import exchange
from chargeback.event import Event
from chargeback.exchange import JoinState
from chargeback.journal.rows import BillingRow
from chargeback.pipeline import Context, DeadLetter, expire, process
from chargeback.ports import Entry, Ledger
from chargeback.sources.capture_files import Source, read
from chargeback.stream_worker import StreamWorker

BATCH = 500

Progress = Callable[[Sequence[Event]], None]


def without_ledger(
    source: Source, context: Context, progress: Progress
) -> tuple[list[BillingRow], list[DeadLetter]]:
    """Return all rows and rejected events; nothing is written anywhere."""
    context = _patient(context)
    rows: list[BillingRow] = []
    letters: list[DeadLetter] = []
    state, last = JoinState(), None
    for batch in _batches(read(source)):
        outcome = process(batch, state, context)
        rows += [row for entry in outcome.entries for row in entry.rows]
        letters += outcome.dead_letters
        state, last = outcome.state, batch[-1]
        progress(batch)
    if last is not None:
        rows += expire(state, last, None, context, "end_of_input")[0]
    return rows, letters


def into_ledger(source: Source, context: Context, ledger: Ledger, progress: Progress) -> list[BillingRow]:
    """Commit what the ledger does not hold yet; return all rows of this source, new or not."""
    context = _patient(context)
    name = f"source/{source.sha256}"
    journal = ledger.journal(name)
    worker = StreamWorker(journal, ledger, lambda: context, in_time=False)
    last = None
    for batch in _batches(read(source)):
        worker.handle(batch)
        last = batch[-1]
        progress(batch)
    if last is not None:
        _bill_the_rest(name, last, context, ledger)
    return [row for _, row in journal.read()]


def _bill_the_rest(name: str, last: Event, context: Context, ledger: Ledger) -> None:
    """Bill what still waits for parts as truncated, one entry a call behind the last event.

    Stopped half-way, it goes on where it was: what is left is saved under the commit that leaves it.
    """
    journal = ledger.journal(name)
    watermark = journal.refresh()
    data = ledger.pending.load(name, watermark)
    if watermark is None or data is None:
        return
    state = exchange.decode(data)
    keys = list(state.calls)
    charges, _ = expire(state, last, None, context, "end_of_input")
    first, batch_id = watermark.last_seq + 1, uuid.uuid4().hex

    def save_rest(through: int) -> None:
        rest = JoinState({key: state.calls[key] for key in keys[through - first + 1 :]})
        if not rest.is_empty:
            ledger.pending.save(name, through, batch_id, exchange.encode(rest))

    entries = [
        Entry(position=position, enqueued_at=None, rows=(charge,))
        for position, charge in enumerate(charges, first)
    ]
    journal.append(entries, after=watermark, batch_id=batch_id, prepare=save_rest)
    ledger.pending.forget(name, entries[-1].position)


def _patient(context: Context) -> Context:
    return msgspec.structs.replace(context, join_timeout=None)


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    rest = iter(events)
    while batch := list(islice(rest, BATCH)):
        yield batch
