"""Questions to the books: groups, and the span of time they are about."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from chargeback.errors import UsageError
from chargeback.rating import EXACT
from chargeback.report.bill import NUMBERS, TAG, Group, in_order, key_of
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
CUBE_KEYS = (
    "cost_centre",
    "subscription_id",
    "subscription_name",
    "app_id",
    "product",
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
_NOT_IN_CUBE = ("hour", "tenant", "user", TAG)


def cube(entries: str) -> str:
    """Return the query that sums entries by day and by every key but the finest."""
    sums = ", ".join(f"{_SQL[name]} AS {name}" for name in SUMMED)
    keys = ", ".join(CUBE_KEYS)
    return f'SELECT date_trunc(\'day\', "at") AS "at", currency, {keys}, {sums} FROM {entries} GROUP BY ALL'


def _in_cube(books: Books, keys: Sequence[str], span: Span) -> bool:
    whole_days = all(
        at is None or (at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0)
        for at in (span.start, span.end)
    )
    return books.settled and whole_days and not any(key.startswith(_NOT_IN_CUBE) for key in keys)


def groups(books: Books, keys: Sequence[str], span: Span) -> list[Group]:
    """Group entries and add up; sorted by what is billed, the largest first, then by name."""
    by = [key_of(key).sql for key in keys]
    names = SUMMED
    if _in_cube(books, keys, span):
        relation, sums = "closed_cube", ", ".join(f"sum({name}) AS {name}" for name in names)
    else:
        relation, sums = "entries", ", ".join(f"{_SQL[name]} AS {name}" for name in names)
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
            f"SELECT DISTINCT currency FROM {'closed_cube' if _in_cube(books, (), span) else 'entries'} WHERE currency IS NOT NULL AND {span.condition} ORDER BY 1"
        )
    ]
    if len(found) > 1:
        raise UsageError(f"the ledger holds charges in {', '.join(found)}; they cannot be added up")
    return found[0] if found else (books.table.currency if books.table else "")
