"""Rate calls again by another table: the whole span or nothing, in a journal of its own.

    books ──every call of the span──> rate, assign ──Rerated rows──> run/NAME ──Run row: complete──> reports

The journals of streams are never touched: they keep the usage and the first rating. Usage, table and moment
alone decide, so the same run twice gives the same rows.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice

import msgspec
from msgspec import Struct

from chargeback.billing import PROMPT_METERS
from chargeback.charge import Charge, Line
from chargeback.errors import UsageError
from chargeback.facts import FACT_FIELDS, Facts
from chargeback.journal.rows import BillingRow, Rerated, Run
from chargeback.ports import Entry, Ledger
from chargeback.rates.billable import error_of
from chargeback.rates.routes import ASSUMED_DEPLOYMENT, STRANGE_SPILLOVER
from chargeback.rates.sites import MODEL_DIFFERS
from chargeback.rates.table import RateTable
from chargeback.rating import EXACT, Rated, rate
from chargeback.report.books import Books
from chargeback.report.query import plain
from chargeback.report.reading import charges
from chargeback.report.span import Span
from chargeback.usage import COUNTS, Usage
from chargeback.watching import Watch, unwatched

BATCH = 1_000

# Found while reading the event, whatever a table says.
_SETTLED = frozenset({"not_final", "no_model_call", "fetched_again", "future_time"})
_RATING_NOTES = frozenset({ASSUMED_DEPLOYMENT, MODEL_DIFFERS, STRANGE_SPILLOVER, "upper_bound"})
_ROUTED = ("account", "deployment", "model", "region")


class Applied(Struct, frozen=True, kw_only=True):
    """What a run did."""

    run: str
    journal: str
    calls: int
    changed: int
    before: Decimal
    after: Decimal
    unpriced: int


def apply(
    books: Books,
    ledger: Ledger,
    table: RateTable,
    span: Span,
    *,
    now: datetime,
    watch: Watch = unwatched,
) -> Applied:
    """Rate every call of the span by ``table``. Raises UsageError when part of the span is closed."""
    if span.start is None or span.end is None:
        raise UsageError("a rating run needs both ends: give --from and --to")
    if books.closed_until is not None and span.start < books.closed_until:
        raise UsageError(
            f"--from {span.start:%Y-%m-%d}: everything before {books.closed_until:%Y-%m-%d} is closed; "
            "start there or later"
        )
    ledger.put_once(f"rates/{table.sha256}.json", table.canonical)
    run = f"{table.rows.table_id}-{now:%Y%m%dT%H%M%S%fZ}"
    tally = _Tally()
    count = int(books.db.one(f"SELECT count(*) FROM due WHERE {_of(span)}") or 0)  # noqa: S608 - our own words
    rows = watch("calls", _rerated(books, table, span, run, tally), count)
    journal = f"run/{run}"
    _append(ledger, journal, rows, lambda: _end(run, table, span, tally, now))
    return Applied(
        run=run,
        journal=journal,
        calls=tally.calls,
        changed=tally.changed,
        before=plain(tally.before),
        after=plain(tally.after),
        unpriced=tally.unpriced,
    )


class _Tally:
    def __init__(self) -> None:
        self.calls = self.changed = self.unpriced = 0
        self.before = self.after = Decimal(0)

    def add(self, row: Rerated) -> None:
        self.calls += 1
        self.changed += row.changed
        self.unpriced += row.charge.rating == "unpriced"
        self.before = EXACT.add(self.before, row.previous_cost or Decimal(0))
        self.after = EXACT.add(self.after, row.charge.total_cost or Decimal(0))


def _rerated(books: Books, table: RateTable, span: Span, run: str, tally: _Tally) -> Iterator[Rerated]:
    for charge in charges(books, "due", _of(span)):
        row = Rerated(
            run=run,
            row_id=f"run/{run}/{charge.row_id}",
            charge=rerate(charge, table),
            previous_cost=charge.total_cost,
            previous_rating=charge.rating,
            previous_cost_centre=charge.cost_centre,
            previous_version=charge.rate_table_version,
        )
        tally.add(row)
        yield row


def _of(span: Span) -> str:
    return f"kind = 'call' AND NOT rival AND NOT conflict AND {span.condition}"


def rerate(charge: Charge, table: RateTable) -> Charge:
    """Return the charge as ``table`` prices and assigns it; its usage stays as it is."""
    at = charge.occurred_at or charge.enqueued_at
    if at is None:
        return charge
    facts = _facts(charge)
    assigned = table.assign(facts, at)
    payer = {
        "cost_centre": assigned.cost_centre,
        "subscription_id": assigned.subscription_id,
        "subscription_name": assigned.subscription_name,
        "rate_table_version": table.version,
        "currency": table.currency,
    }
    if charge.rating_reason in _SETTLED:
        return msgspec.structs.replace(charge, **payer)
    error = error_of(charge.rating_reason, charge.http_status)
    rated = rate(_usage(charge), facts, table, at=at, event_hub=charge.event_hub, error=error)
    return msgspec.structs.replace(charge, **payer, **_money(charge, rated))


def _facts(charge: Charge) -> Facts:
    """Return what the call's events said, without what the former table made of it."""
    known = {name: getattr(charge, name) for name in FACT_FIELDS}
    known["operation"] = None if charge.operation == "unknown" else charge.operation
    if charge.subscription_key_id and charge.subscription_id == f"key-{charge.subscription_key_id}":
        known["subscription_id"] = None
    if ASSUMED_DEPLOYMENT in charge.usage_notes:
        known |= {"deployment": None, "account": None}
    elif charge.deployment_type is not None:
        known["model"] = None  # it is the former table's name for the deployment's model
    return Facts(**known)


def _usage(charge: Charge) -> Usage:
    counts = {name: getattr(charge, name) for name in COUNTS}
    return msgspec.convert(
        {"source": charge.usage_source, **counts, "by_meter": charge.quantities or {}}, Usage
    )


def _money(charge: Charge, rated: Rated) -> dict[str, object]:
    kept = set(charge.usage_notes) - _RATING_NOTES
    if MODEL_DIFFERS in charge.usage_notes and rated.deployment_type == charge.deployment_type:
        kept.add(MODEL_DIFFERS)
    priced = rated.rating == "priced"
    prompt = [line for line in rated.lines if line.meter.startswith(PROMPT_METERS)]
    completion = [line for line in rated.lines if not line.meter.startswith(PROMPT_METERS)]
    routed = {name: value for name in _ROUTED if (value := getattr(rated, name)) is not None}
    return {
        **routed,
        "deployment_type": rated.deployment_type,
        "usage_notes": tuple(sorted(kept | set(rated.notes))),
        "lines": rated.lines,
        "prompt_cost": _sum(prompt) if priced else None,
        "completion_cost": _sum(completion) if priced else None,
        "total_cost": _sum(rated.lines) if priced else None,
        "rating": rated.rating,
        "rating_reason": rated.reason,
    }


def _sum(lines: Iterable[Line]) -> Decimal:
    total = Decimal(0)
    for line in lines:
        total = EXACT.add(total, line.cost)
    return total


def _end(run: str, table: RateTable, span: Span, tally: _Tally, now: datetime) -> Run:
    if span.start is None or span.end is None:  # pragma: no cover - apply has looked
        raise AssertionError(span)
    return Run(
        row_id=f"run/{run}",
        run=run,
        rate_table_version=table.version,
        sha256=table.sha256,
        start=span.start,
        to=span.end,
        calls=tally.calls,
        changed=tally.changed,
        made_at=now,
    )


def _append(ledger: Ledger, name: str, rows: Iterable[Rerated], end: Callable[[], Run]) -> None:
    """Commit the rows and, last, the row that makes them count: a run that stopped half-way is nobody's."""
    journal = ledger.journal(name)
    after = journal.refresh()
    if after is not None:
        raise UsageError(f"rating run {name} is there already; start another")
    position = 0
    rest: Iterator[BillingRow] = iter(rows)
    while batch := list(islice(rest, BATCH)):
        entries = [Entry(position=position + n, enqueued_at=None, rows=(row,)) for n, row in enumerate(batch)]
        after = journal.append(entries, after=after, batch_id=uuid.uuid4().hex)
        position += len(batch)
    last = Entry(position=position, enqueued_at=None, rows=(end(),))
    journal.append([last], after=after, batch_id=uuid.uuid4().hex)
