"""Questions to the books: groups, and the span of time they are about."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from chargeback.errors import UsageError
from chargeback.rating import EXACT
from chargeback.report.bill import KEYS, NUMBERS, Group, in_order, key_of
from chargeback.report.books import Books
from chargeback.report.span import Span


def _count(condition: str) -> str:
    # count_if over nothing but NULL is NULL, and this is 0.
    return f"count(*) FILTER ({condition})"


_CALL = "kind = 'call'"
_SQL: dict[str, str] = {
    "calls": _count(_CALL),
    "prompt_tokens": "coalesce(sum(prompt_tokens), 0)",
    "completion_tokens": "coalesce(sum(completion_tokens), 0)",
    "cost": "coalesce(sum(total_cost), 0)",
    "markup": "coalesce(sum(markup), 0)",
    "pool_cost": "coalesce(sum(pool_cost), 0)",
    "estimated": _count("usage_source = 'estimated'"),
    "estimated_cost": "coalesce(sum(total_cost) FILTER (usage_source = 'estimated'), 0)",
    "truncated": _count("truncated"),
    "lower_bound": _count("lower_bound"),
    "upper_bound": _count("upper_bound"),
    **{name: _count(f"rating = '{name}'") for name in ("unpriced", "unmetered", "pooled", "not_billable")},
    "conflicts": _count("conflict"),
    "corrections": _count("kind = 'correction'"),
}


SUMMED = tuple(name for name in NUMBERS if name != "billed")
_SERVED = (
    "cost_centre",
    "account",
    "deployment",
    "deployment_type",
    "model",
    "operation",
    "region",
    "service_tier",
    "rating",
    "rating_reason",
    "usage_source",
    "source_format",
    "rate_table_version",
)
_CALLERS = ("subscription_id", "subscription_name", "app_id", "product")
CUBES: tuple[tuple[str, ...], ...] = (_SERVED, (*_SERVED, *_CALLERS))
"""Columns of the summaries of a closed month, the smaller one first. Each also has the day."""
_IN_CUBES = frozenset({"month", "day", *(name for name in KEYS if KEYS[name].sql.strip('"') in CUBES[-1])})
_OF_CALLERS = frozenset(name for name in KEYS if KEYS[name].sql.strip('"') in _CALLERS)


def cube(entries: str, columns: Sequence[str], *, summed: bool = False) -> str:
    """Return the query that sums entries, or a finer cube, by day and ``columns``."""
    terms = {name: f"sum({name})" if summed else _SQL[name] for name in SUMMED}
    # Parquet has no integers beyond 64 bits: DuckDB would write a sum of them as floats.
    sums = ", ".join(
        f"({term}){'' if name in _MONEY else '::BIGINT'} AS {name}" for name, term in terms.items()
    )
    keys = ", ".join(columns)
    return f'SELECT date_trunc(\'day\', "at") AS "at", currency, {keys}, {sums} FROM {entries} GROUP BY ALL'


def _relation(books: Books, keys: Sequence[str], span: Span) -> str:
    """Return the smallest relation that can answer."""
    ends = [at for at in (span.start, span.end) if at is not None]
    whole_days = all((at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0) for at in ends)
    if not (books.settled and whole_days and _IN_CUBES.issuperset(keys)):
        return "entries"
    return "closed_cube_0" if _OF_CALLERS.isdisjoint(keys) else "closed_cube_1"


def groups(books: Books, keys: Sequence[str], span: Span) -> list[Group]:
    """Group entries and add up; sorted by what is billed, the largest first, then by name."""
    by = [key_of(key).sql for key in keys]
    names = SUMMED
    relation = _relation(books, keys, span)
    terms = _SQL if relation == "entries" else {name: f"sum({name})" for name in names}
    sums = ", ".join(f"{terms[name]} AS {name}" for name in names)
    rows = books.db.rows(
        f"SELECT {', '.join([*by, sums])} FROM {relation} WHERE {span.condition} GROUP BY ALL"
    )
    found: list[Group] = []
    for row in rows:
        numbers = dict(zip(names, row[len(by) :], strict=True))
        money = {
            name: plain(value) if isinstance(value, Decimal) else value for name, value in numbers.items()
        }
        billed = exact_sum(money["cost"], money["markup"], money["pool_cost"])
        found.append(Group(keys=tuple(row[: len(by)]), billed=billed, **_typed(money)))
    return in_order(found)


_MONEY = frozenset({"cost", "markup", "pool_cost", "estimated_cost"})


def _typed(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: Decimal(value) if name in _MONEY else int(value) for name, value in numbers.items()}


def exact_sum(*amounts: Decimal | int) -> Decimal:
    """Add amounts without rounding: Python's default context has only 28 digits."""
    result = Decimal(0)
    for amount in amounts:
        result = EXACT.add(result, amount)
    return plain(result)


def plain(amount: Decimal) -> Decimal:
    """Drop the zeros a column's scale adds; never goes below no decimals."""
    if not amount:
        return Decimal(0)
    sign, digits, exponent = amount.as_tuple()
    places = int(exponent)
    kept = list(digits)
    while places < 0 and kept and kept[-1] == 0:
        kept.pop()
        places += 1
    return Decimal((sign, tuple(kept), places))


def currency(books: Books, span: Span) -> str:
    """Return the one currency of the books. Raises UsageError when there are several."""
    found = [
        str(row[0])
        for row in books.db.rows(
            f"SELECT DISTINCT currency FROM {_relation(books, (), span)} WHERE currency IS NOT NULL AND {span.condition} ORDER BY 1"
        )
    ]
    if len(found) > 1:
        raise UsageError(f"the ledger holds charges in {', '.join(found)}; they cannot be added up")
    return found[0] if found else (books.table.currency if books.table else "")
