"""Ledgers for tests of money: rows in real journals, books over them, a clock that is told."""

import uuid
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from chargeback.journal.local import ledger as local_ledger
from chargeback.ports import Entry
from chargeback.rates.load import parse
from chargeback.report.books import opened
from chargeback.report.span import EVER
from tests.support import oracle
from tests.support.calls import Counts
from tests.support.charges import charge_of
from tests.support.events import NOON
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

STREAM = "stream/contoso.servicebus.windows.net/usage/1/0"
DECEMBER = datetime(2026, 12, 10, tzinfo=UTC)
"""A time at which November is over, and its grace too."""
SAMPLES = oracle.SAMPLE_RATES.read_text()


def table(text=SAMPLES):
    return parse(text, source="rates.yaml")


def ledger_at(folder, now=DECEMBER):
    return local_ledger(folder / "ledger", writer="test", now=lambda: now)


def append(ledger, rows, journal=STREAM, enqueued_at=None):
    """Commit the rows as events behind what the journal has."""
    stream = ledger.journal(journal)
    after = stream.refresh()
    first = 0 if after is None else after.last_seq + 1
    entries = [
        Entry(
            position=first + number, enqueued_at=enqueued_at or getattr(row, "enqueued_at", None), rows=(row,)
        )
        for number, row in enumerate(rows)
    ]
    return stream.append(entries, after=after, batch_id=uuid.uuid4().hex)


def pass_time(ledger, at, journal=STREAM):
    """An event of that time, which bills nothing, moves the watermark."""
    from chargeback.journal.rows import Ignored

    append(ledger, [Ignored(row_id=f"tick/{at.isoformat()}", reason="metric")], journal, enqueued_at=at)


@contextmanager
def books_at(ledger, folder, *, now=DECEMBER, rates=None, span=EVER):
    with opened(ledger, folder / "cache", now=now, table=rates, span=span) as books:
        yield books


def a_charge(number=1, *, caller="shop", route="mini", at=NOON, prompt=1000, completion=100, **told):
    """A charge made by the pipeline, told apart by its number; ``told`` replaces fields."""
    call = a_call(
        CALLERS[caller], ROUTES[route], at, number, usage=Counts(prompt=prompt, completion=completion)
    )
    charge = charge_of(render(call, "v1")[0], first=number)
    return msgspec.structs.replace(charge, **told) if told else charge
