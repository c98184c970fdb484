"""What the page tells, read from the books: numbers only, no markup."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from chargeback.budgets import Month, Standing, standings
from chargeback.report import unbilled
from chargeback.report.bill import Group, total
from chargeback.report.books import Books
from chargeback.report.query import currency, exact_sum, groups, plain
from chargeback.report.span import Span, instant, month

MOST_DAYS = 93
"""More days are shown as months."""
MOST_ROWS = 5_000
"""Rows of the table: what a browser sorts at once."""
TABLE_KEYS = ("cost-centre", "subscription", "app", "deployment", "model", "operation")

_BILLED = "coalesce(total_cost, 0) + coalesce(markup, 0) + coalesce(pool_cost, 0)"


class Question(Struct, frozen=True, kw_only=True):
    """Something a controller should look at before the month is closed."""

    what: str
    count: int
    meaning: str


class PoolUse(Struct, frozen=True, kw_only=True):
    pool: str
    used: Decimal
    idle: Decimal


class Content(Struct, frozen=True, kw_only=True):
    span: Span
    first: datetime | None
    last: datetime | None
    currency: str
    version: str
    names: dict[str, str]
    """Cost centre -> name."""
    whole: Group
    steps: list[str]
    """Days, or months where there are many."""
    by_step: dict[str, dict[str, Decimal]]
    """Cost centre -> step -> billed."""
    consumers: list[Group]
    models: list[Group]
    sources: list[Group]
    pools: list[PoolUse]
    budgets: list[Standing]
    questions: list[Question]
    rows: list[Group]


def read(books: Books, span: Span) -> Content:
    """Ask the books all the page needs."""
    db, where = books.db, span.condition
    first, last, days = db.rows(
        f'SELECT min("at"), max("at"), count(DISTINCT "at"::DATE) FROM entries WHERE {where}'
    )[0]
    pattern = "%Y-%m-%d" if days <= MOST_DAYS else "%Y-%m"
    by_step: dict[str, dict[str, Decimal]] = {}
    steps: set[str] = set()
    for centre, step, billed in db.rows(
        f"SELECT coalesce(cost_centre, '-'), strftime(\"at\", '{pattern}'), sum({_BILLED}) FROM entries "
        f'WHERE {where} AND "at" IS NOT NULL GROUP BY ALL ORDER BY ALL'
    ):
        by_step.setdefault(centre, {})[step] = plain(billed)
        steps.add(step)
    found = groups(books, TABLE_KEYS, span)
    table = books.table
    return Content(
        span=span,
        first=first,
        last=last,
        currency=currency(books, span),
        version=table.version if table else "none",
        names={row.id: row.name or row.id for row in table.rows.cost_centres} if table else {},
        whole=total(found),
        steps=sorted(steps),
        by_step=by_step,
        consumers=groups(books, ("subscription", "app"), span),
        models=groups(books, ("model",), span),
        sources=groups(books, ("source",), span),
        pools=_pools(books, where),
        budgets=budget_standings(books, span),
        questions=questions(books, span),
        rows=found,
    )


def _pools(books: Books, where: str) -> list[PoolUse]:
    rows = books.db.rows(
        "SELECT pool, coalesce(sum(pool_cost) FILTER (kind = 'pool'), 0), "
        f"coalesce(sum(pool_cost) FILTER (kind = 'idle'), 0) FROM entries WHERE pool IS NOT NULL AND {where} "
        "GROUP BY pool ORDER BY pool"
    )
    return [PoolUse(pool=pool, used=plain(used), idle=plain(idle)) for pool, used, idle in rows]


def budget_standings(books: Books, span: Span, at_least: str | None = None) -> list[Standing]:
    """Return every budget of the months with spending in the span, and of the month ``at_least``."""
    if books.table is None or not books.table.rows.budgets:
        return []
    spent: dict[tuple[str, str], Decimal] = {}
    for centre, name, *parts in books.db.rows(
        "SELECT cost_centre, strftime(\"at\", '%Y-%m'), coalesce(sum(total_cost), 0), coalesce(sum(markup), 0), "
        f'coalesce(sum(pool_cost), 0) FROM entries WHERE "at" IS NOT NULL AND {span.condition} GROUP BY ALL'
    ):
        spent[centre, name] = exact_sum(*(Decimal(part) for part in parts))
    months = sorted({name for _, name in spent} | ({at_least} if at_least else set()))
    return list(standings(books.table.rows, [_month(name) for name in months], spent))


def _month(name: str) -> Month:
    span = month(name)
    if span.start is None or span.end is None:  # pragma: no cover - a month has both ends
        raise AssertionError(name)
    return Month(name, span.start, span.end)


_QUESTIONS: tuple[tuple[str, str, str], ...] = (
    (
        "calls without a price",
        "rating = 'unpriced'",
        "The rate table does not say what they cost; `chargeback explain` tells why. They block closing.",
    ),
    (
        "calls of unknown quantity",
        "rating = 'unmetered'",
        "Azure charges for them and nobody counted; compare with `chargeback reconcile`.",
    ),
    (
        "calls with contradicting counts",
        "conflict",
        "Two events of one kind report different usage. They block closing.",
    ),
    ("calls of nobody", "cost_centre IS NULL OR cost_centre = 'UNALLOCATED'", "Add an assignment for them."),
    (
        "pooled calls without a pool",
        "rating = 'pooled' AND NOT EXISTS (FROM pool_entries)",
        "Add the pool that pays for these provisioned deployments.",
    ),
)


def questions(books: Books, span: Span) -> list[Question]:
    """Return what is open, with what it means; nothing that counts none."""
    asked = ", ".join(
        f"count(*) FILTER (kind <> 'pool' AND kind <> 'idle' AND ({condition}))"
        for _, condition, _ in _QUESTIONS
    )
    counts = books.db.rows(f"SELECT {asked} FROM entries WHERE {span.condition}")[0]
    found = [
        Question(what=what, count=count, meaning=meaning)
        for (what, _, meaning), count in zip(_QUESTIONS, counts, strict=True)
        if count
    ]
    if count := unbilled.count(books, span):
        found.append(Question(what="calls without usage", count=count, meaning=unbilled.MEANING))
    # Of events that could not be read nobody knows the time of the call; the hub's is near enough.
    near = _trouble_in(span)
    for reason, count in books.db.rows(
        f"SELECT reason, count(*) FROM trouble WHERE kind = 'reject' AND {near} GROUP BY ALL ORDER BY ALL"
    ):
        meaning = "Their bytes are kept as dead letters; mend and requeue them, or waive them."
        found.append(Question(what=f"rejected events ({reason})", count=count, meaning=meaning))
    gaps = books.db.one('SELECT coalesce(sum("last" - "first" + 1), 0) FROM trouble WHERE kind = \'gap\'')
    if gaps:
        meaning = "The platform skipped them; `chargeback repair` reads them again. They block closing."
        found.append(Question(what="events missing in the journals", count=int(gaps), meaning=meaning))
    return found


def _trouble_in(span: Span) -> str:
    parts = [f'"at" >= {instant(span.start)}'] if span.start else []
    parts += [f'"at" < {instant(span.end)}'] if span.end else []
    return f'("at" IS NULL OR ({" AND ".join(parts) or "true"}))'


def json_row(group: Group) -> list[Any]:
    """Return a table row for the page's script: texts, then numbers."""
    return [*group.keys, group.calls, group.prompt_tokens, group.completion_tokens, str(group.billed)]
