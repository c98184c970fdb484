"""What came after a close: which rows are still open, and what they mean for months that are settled.

    row behind the frozen place, or of a month that is open ──> open, the rule decides as ever
    call in no closed month, of an open one                 ──> due
    call in no closed month, of a closed one                ──> a correction: the whole call
    call in a closed month, same usage                      ──> a duplicate: nothing
    call in a closed month, other usage, no worse a source  ──> a correction: the difference

A correction belongs to the first month that is open, and keeps its own date in ``occurred_at``.
"""

from collections.abc import Sequence
from datetime import datetime

from chargeback.report.closed import Manifest
from chargeback.report.columns import CHARGE_COLUMNS, COST
from chargeback.report.rule import contradicts
from chargeback.report.span import instant
from chargeback.report.sql import Database
from chargeback.usage import COUNTS

_MOMENT = "coalesce(occurred_at, enqueued_at)"
_SUMS = ("prompt_cost", "completion_cost", "total_cost")


def prepare(db: Database, closed: Sequence[Manifest]) -> None:
    """Tell where the newest close froze each journal."""
    db.run("CREATE TABLE frozen (journal VARCHAR, rows BIGINT)")
    rows: dict[str, int] = {}
    for manifest in closed:
        rows |= {each.journal: each.rows for each in manifest.journals}
    db.insert("frozen", list(rows.items()))


def open_charges(settled_until: datetime | None) -> str:
    """Rows without any time are settled by the first close that has seen them."""
    if settled_until is None:
        return "FROM charges"
    return f"""
SELECT charges.* FROM charges LEFT JOIN frozen USING (journal)
WHERE seq > coalesce(frozen.rows, 0) OR {_MOMENT} >= {instant(settled_until)}
"""


def open_identities(settled_until: datetime | None) -> str:
    if settled_until is None:
        return "FROM identities"
    return "FROM identities WHERE charge_id IN (SELECT charge_id FROM open_charges)"


def settled(charges: str) -> str:
    """Return what closed months say of the calls that have rows again."""
    sums = ", ".join(f'sum("{name}") AS "{name}"' for name in (*COUNTS, *_SUMS, "markup"))
    return f"""
SELECT charge_id, {sums}, arg_min(rank, "at") AS rank, min(cost_centre) AS cost_centre,
    flatten(list(lines)) AS lines, arg_max(quantities, "at") AS quantities, strftime(min("at"), '%Y-%m') AS period
FROM closed_entries WHERE kind IN ('call', 'correction') AND charge_id IN (SELECT charge_id FROM {charges})
GROUP BY charge_id
"""


def due(calls: str, settled_until: datetime | None) -> str:
    """Return the open calls and the corrections of closed months."""
    plain = "SELECT * EXCLUDE (payer_changed), 'call' AS kind, NULL::VARCHAR AS corrects"
    if settled_until is None:
        return f"{plain} FROM {calls}"
    at = instant(settled_until)
    differences = ", ".join(
        f'coalesce(mine."{name}", 0) - coalesce(settled."{name}", 0) AS "{name}"' for name in COUNTS
    )
    money = ", ".join(
        f'(coalesce(mine."{name}", 0) - coalesce(settled."{name}", 0))::{COST} AS "{name}"' for name in _SUMS
    )
    reversed_lines = (
        "list_concat(list_transform(settled.lines, lambda l: struct_update(l, quantity := -l.quantity, cost := -l.cost)), "
        "mine.lines) AS lines"
    )
    # The first digit of a rank: complete before truncated, then by who counted.
    trust = "left(mine.rank, 1) <= left(settled.rank, 1)"
    return f"""
{plain} FROM {calls} WHERE charge_id NOT IN (SELECT charge_id FROM settled) AND "at" >= {at}
UNION ALL BY NAME
SELECT * EXCLUDE (payer_changed) REPLACE ({at} AS "at"), 'correction' AS kind, strftime("at", '%Y-%m') AS corrects
FROM {calls} WHERE charge_id NOT IN (SELECT charge_id FROM settled) AND ("at" < {at} OR "at" IS NULL)
UNION ALL BY NAME
SELECT mine.* EXCLUDE (payer_changed, {", ".join((*COUNTS, *_SUMS))}, lines, markup, cost_centre, "at"),
    {differences}, {money}, {reversed_lines},
    coalesce(mine.markup, 0) - coalesce(settled.markup, 0) AS markup, settled.cost_centre, {at} AS "at",
    'correction' AS kind, settled.period AS corrects
FROM {calls} AS mine JOIN settled USING (charge_id)
WHERE NOT mine.rival AND ({contradicts("settled", "mine")}) AND {trust}
"""


assert set(_SUMS) <= set(CHARGE_COLUMNS)  # noqa: S101 - a renamed field must be renamed here
