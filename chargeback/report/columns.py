"""The columns of a charge in SQL, made from the record itself: a new field is a new column everywhere.

A price has at most 12 decimals and is for at most a million units, so a cost has at most 18 decimals; a
markup in percent has at most two, so what it adds has at most 22. Nothing a rate table can say needs a digit
more, and what does is refused: DuckDB would round it without a word.
"""

from typing import Any, get_args

from chargeback.charge import Charge, Line
from chargeback.facts import FACT_FIELDS

COST_SCALE = 18
COST = f"DECIMAL(38,{COST_SCALE})"
"""Of a charge: quantity x price / per."""
MONEY = "DECIMAL(38,22)"
"""Of what is made of costs: a markup, a pool's share."""
PERCENT = "DECIMAL(9,4)"
"""A markup as a factor: 12.5 % is 0.1250. ``COST`` times ``PERCENT`` is ``MONEY``, exactly."""

_LINES = (
    f"STRUCT(meter VARCHAR, quantity DECIMAL(38,6), unit VARCHAR, price {COST}, per BIGINT, "
    f"rate_id VARCHAR, cost {COST})[]"
)
_NESTED = {
    "tags": "MAP(VARCHAR, VARCHAR)",
    "quantities": "MAP(VARCHAR, DECIMAL(38,6))",
    "usage_notes": "VARCHAR[]",
    "lines": _LINES,
}
_SCALARS = {"str": "VARCHAR", "int": "BIGINT", "bool": "BOOLEAN", "datetime": "TIMESTAMP", "Decimal": COST}

CHARGE_COLUMNS: dict[str, str] = {}
"""Field of a charge -> its type; filled below."""

IDENTITY_COLUMNS: dict[str, str] = {
    "charge_id": "VARCHAR",
    "row_id": "VARCHAR",
    "source_format": "VARCHAR",
    "rank": "VARCHAR",
    "cost_centre": "VARCHAR",
}
"""Columns of an identity row: its own, and those of its facts."""


def _type(name: str, annotation: Any) -> str:
    if name in _NESTED:
        return _NESTED[name]
    words = {each.__name__ for each in get_args(annotation) or (annotation,) if isinstance(each, type)}
    return next((_SCALARS[word] for word in words if word in _SCALARS), "VARCHAR")


assert set(Line.__struct_fields__) == {"meter", "quantity", "unit", "price", "per", "rate_id", "cost"}  # noqa: S101 - the nested type above is written by hand
CHARGE_COLUMNS.update({name: _type(name, Charge.__annotations__[name]) for name in Charge.__struct_fields__})
IDENTITY_COLUMNS.update({name: CHARGE_COLUMNS[name] for name in FACT_FIELDS})


def listed(columns: dict[str, str]) -> str:
    """Write columns for ``read_json``: ``{'name': 'TYPE', ...}``."""
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items()) + "}"


def struct(columns: dict[str, str]) -> str:
    """Write columns as the type of one nested value."""
    return f"STRUCT({', '.join(f'{quoted(name)} {kind}' for name, kind in columns.items())})"


def empty(columns: dict[str, str]) -> str:
    """Return a query without rows that has the columns."""
    return (
        "SELECT "
        + ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in columns.items())
        + " WHERE false"
    )


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a SQL string literal."""
    return "'" + value.replace("'", "''") + "'"
