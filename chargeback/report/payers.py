"""Who pays and how much on top, in SQL: the rate table's assignments and markups as tables to join.

A charge knows its payer already, from the table it was rated by. Only where a call was put together from
several rows, and another row brought who called, is the payer looked up again.
"""

from datetime import datetime

from chargeback.rates.rows import Rows
from chargeback.rates.table import RateTable
from chargeback.report.columns import PERCENT
from chargeback.report.sql import Database

_TABLES = f"""
CREATE TABLE assignments (
    place INTEGER, subscription VARCHAR, app VARCHAR, product VARCHAR, tag VARCHAR,
    since TIMESTAMP, until TIMESTAMP, cost_centre VARCHAR
);
CREATE TABLE key_ids (key_id VARCHAR, since TIMESTAMP, until TIMESTAMP, subscription VARCHAR);
CREATE TABLE markups (cost_centre VARCHAR, since TIMESTAMP, until TIMESTAMP, factor {PERCENT});
CREATE TABLE policy (unallocated VARCHAR);
"""
_FIRST, _LAST = datetime(1, 1, 1), datetime(9999, 12, 31)  # noqa: DTZ001  SQL's TIMESTAMP has no zone: all are UTC


def prepare(db: Database, table: RateTable | None) -> None:
    """Fill the tables the joins below read."""
    for statement in _TABLES.strip().split(";"):
        if statement.strip():
            db.run(statement)
    if table is None:
        return
    rows = table.rows
    db.insert("policy", [(rows.policy.unallocated,)])
    db.insert(
        "assignments",
        [
            (
                place,
                row.subscription,
                row.app,
                row.product,
                row.tag,
                *_span(row.start, row.to),
                row.cost_centre,
            )
            for place, row in enumerate(rows.assignments)
        ],
    )
    db.insert(
        "key_ids", [(key, *_span(start, to), subscription) for key, start, to, subscription in _keys(rows)]
    )
    markups = [(centre.id, markup) for centre in rows.cost_centres for markup in centre.markups]
    db.insert(
        "markups", [(centre, *_span(row.start, row.to), row.percent.scaleb(-2)) for centre, row in markups]
    )


def _keys(rows: Rows) -> list[tuple[str, datetime | None, datetime | None, str]]:
    return [(key.id, key.start, key.to, row.id) for row in rows.subscriptions for key in row.key_ids]


def _span(start: datetime | None, to: datetime | None) -> tuple[datetime, datetime]:
    return (
        _FIRST if start is None else start.replace(tzinfo=None),
        _LAST if to is None else to.replace(tzinfo=None),
    )


# The order of `RateTable.assign`: the most specific first, and of several tags the first in the table.
_LOOKUPS: tuple[tuple[str, str], ...] = (
    ("by_both", "a.subscription = mine.subscription AND a.app = mine.app_id AND a.subscription IS NOT NULL"),
    ("by_subscription", "a.subscription = mine.subscription AND a.app IS NULL"),
    ("by_app", "a.app = mine.app_id AND a.subscription IS NULL"),
    ("by_product", "a.product = mine.product"),
    ("by_tag", "a.tag = mine.tag"),
)


def look_up(db: Database, calls: str, table: RateTable | None) -> bool:
    """Find the payers of calls whose caller another row brought; False when there are none."""
    if table is None:
        return False
    db.run(f"""
CREATE TABLE changed AS
SELECT charge_id, row_id, app_id, product, tags, "at",
    coalesce(nullif(subscription_id, 'key-' || subscription_key_id), subscription) AS subscription
FROM {calls} AS one LEFT JOIN key_ids ON subscription_key_id = key_id AND "at" >= since AND "at" < until
WHERE payer_changed""")
    if not db.one("SELECT count(*) FROM changed"):
        return False
    db.run(f"CREATE TABLE looked_up AS {_looked_up()}")
    return True


def paid(calls: str, table: RateTable | None, *, look_up: bool) -> str:
    """Return ``calls`` with the payers ``look_up`` found, and the markup."""
    assigned = _ASSIGNED.format(calls=calls) if look_up else calls
    if table is None or not any(centre.markups for centre in table.rows.cost_centres):
        return f"SELECT *, 0::{PERCENT} AS markup_factor, total_cost * 0::{PERCENT} AS markup FROM {assigned}"
    return f"""
SELECT assigned.*, coalesce(markups.factor, 0)::{PERCENT} AS markup_factor,
    assigned.total_cost * coalesce(markups.factor, 0)::{PERCENT} AS markup
FROM {assigned} AS assigned LEFT JOIN markups ON markups.cost_centre = assigned.cost_centre
    AND assigned."at" >= markups.since AND assigned."at" < markups.until
"""


_ASSIGNED = """(
SELECT one.* REPLACE (
    coalesce(looked_up.cost_centre, one.cost_centre) AS cost_centre,
    coalesce(looked_up.subscription, one.subscription_id) AS subscription_id
)
FROM {calls} AS one LEFT JOIN looked_up ON one.payer_changed
    AND looked_up.charge_id = one.charge_id AND looked_up.row_id = one.row_id
)"""


def _looked_up() -> str:
    joins = ",\n".join(
        f"""{name} AS (
    SELECT charge_id, row_id, arg_min(a.cost_centre, a.place) AS cost_centre FROM {_source(name)} AS mine
    JOIN assignments AS a ON {condition} AND mine."at" >= a.since AND mine."at" < a.until GROUP BY ALL
)"""
        for name, condition in _LOOKUPS
    )
    left = " ".join(
        f"LEFT JOIN {name} ON {name}.charge_id = changed.charge_id AND {name}.row_id = changed.row_id"
        for name, _ in _LOOKUPS
    )
    found = ", ".join(f"{name}.cost_centre" for name, _ in _LOOKUPS)
    return f"""
WITH tagged AS (
    SELECT * EXCLUDE (tags),
        unnest(list_transform(map_entries(tags), lambda e: e.key || '=' || e.value)) AS tag
    FROM changed WHERE tags IS NOT NULL
),
{joins}
SELECT changed.charge_id, changed.row_id, changed.subscription,
    coalesce({found}, (SELECT unallocated FROM policy)) AS cost_centre
FROM changed {left}
"""


def _source(name: str) -> str:
    return "tagged" if name == "by_tag" else "changed"
