"""Rows of the books as charges again: for re-rating, explaining and printing."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chargeback.charge import Charge, Line
from chargeback.report.books import Books
from chargeback.report.columns import CHARGE_COLUMNS, quoted
from chargeback.report.query import plain

_NAMES = tuple(CHARGE_COLUMNS)
COLUMNS = ", ".join(quoted(name) for name in _NAMES)


def charges(books: Books, relation: str, condition: str = "true") -> Iterator[Charge]:
    """Yield the charges of a relation, in bounded memory."""
    query = f"SELECT {COLUMNS} FROM {relation} WHERE {condition}"
    for batch in books.db.batches(query):
        for row in batch:
            yield charge_of(row)


def charge_of(row: tuple[Any, ...]) -> Charge:
    """Return the charge whose columns, in the order of the record, are ``row``."""
    return Charge(**{name: _value(name, value) for name, value in zip(_NAMES, row, strict=True)})


def _value(name: str, value: Any) -> Any:
    if value is None:
        return () if name in ("lines", "usage_notes") else None
    if name in _NESTED:
        return _NESTED[name](value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    return plain(value) if isinstance(value, Decimal) else value


def _lines(rows: list[dict[str, Any]]) -> tuple[Line, ...]:
    return tuple(Line(**_plain(row)) for row in rows)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in row.items()}


_NESTED: dict[str, Callable[[Any], Any]] = {
    "lines": _lines,
    "usage_notes": tuple,
    "tags": dict,
    "quantities": _plain,
}
