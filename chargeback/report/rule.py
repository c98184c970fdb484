"""The rule of ``journal.winner`` as SQL, made from the same constants; a property test holds both together.

Nearly every call has one row and nothing to merge: ``single`` passes those through, and only the others are
sorted, by ``mixed``.
"""

from chargeback.facts import FACT_FIELDS
from chargeback.journal.winner import OWN_FORMAT, PAYERS
from chargeback.report.columns import CHARGE_COLUMNS, text
from chargeback.usage import COUNTS

KEPT = tuple(name for name in CHARGE_COLUMNS if name not in FACT_FIELDS and name != "cost_centre")
# What makes two counts of one call a conflict: the tokens, and everything else that is metered.
COUNTED = (*COUNTS, "quantities")
# What decides who pays: where another row brought one of these, the payer is looked up again.
PAYER_FIELDS = ("subscription_id", "subscription_key_id", "app_id", "product", "tags", "occurred_at")


def several(charges: str, identities: str) -> str:
    """Return a query for the ids of calls that have more than one row, or an identity."""
    return (
        f"SELECT charge_id FROM {charges} GROUP BY charge_id HAVING count(*) > 1 "
        f"UNION SELECT charge_id FROM {identities}"
    )


def single(charges: str) -> str:
    """Return the query for calls of one row, when every row is one."""
    plain = ", ".join(f'"{name}"' for name in CHARGE_COLUMNS)
    return (
        f"SELECT {plain}, 1 AS rows, false AS conflict, false AS rival, false AS payer_changed, "
        f'coalesce(occurred_at, enqueued_at) AS "at" FROM {charges}'
    )


def mixed(charges: str, identities: str, several: str) -> str:
    """Return the query for calls of several rows: each once, a conflicting one once for each count.

    Columns: those of a charge; ``rows``, ``conflict``, ``rival`` (not the winner), ``payer_changed``; ``at``,
    its moment or else the hub's.
    """
    their_counts = ", ".join(_count("other", name) for name in COUNTED)
    kept = ", ".join(f'chosen."{name}"' for name in KEPT)
    merged = ", ".join(f'{_merged(name)} AS "{name}"' for name in FACT_FIELDS)
    payer = " OR ".join(f'{_merged(name)} IS DISTINCT FROM chosen."{name}"' for name in PAYER_FIELDS)
    plain = ", ".join(f'"{name}"' for name in CHARGE_COLUMNS)
    told = ", ".join(f'arg_min({_known(name)}, place) AS "{name}"' for name in FACT_FIELDS)
    somebody = " OR ".join(f'"{name}" IS NOT NULL' for name in PAYERS)
    centre = f"arg_min(cost_centre, place) FILTER ({somebody}) AS cost_centre"
    nobody = " AND ".join(f'chosen."{name}" IS NULL' for name in PAYERS)
    own_first = f"source_format <> {text(OWN_FORMAT)}, rank, row_id"
    return f"""
WITH mine AS (
    SELECT * FROM {charges} WHERE charge_id IN (SELECT charge_id FROM {several})
    -- Two journals may hold the same row: a requeued event, a call expired by owner and by timer.
    QUALIFY row_number() OVER (PARTITION BY charge_id, row_id ORDER BY seq) = 1
),
ordered AS (
    SELECT *, row_number() OVER call AS place, count(*) OVER (PARTITION BY charge_id) AS rows
    FROM mine WINDOW call AS (PARTITION BY charge_id ORDER BY rank, row_id)
),
winners AS (SELECT * FROM ordered WHERE place = 1),
rivals AS (
    SELECT other.* FROM ordered AS other JOIN winners AS winner USING (charge_id)
    WHERE other.place > 1 AND winner.usage_source IN ('reported', 'gateway')
      AND other.usage_source = winner.usage_source AND other.truncated = winner.truncated
      AND other.source_format = winner.source_format AND ({contradicts("other", "winner")})
    QUALIFY row_number() OVER (PARTITION BY charge_id, {their_counts} ORDER BY other.place) = 1
),
chosen AS (FROM winners UNION ALL FROM rivals),
identity_places AS (
    SELECT *, row_number() OVER (PARTITION BY charge_id ORDER BY {own_first}) AS place FROM {identities}
),
by_identity AS (SELECT charge_id, {told}, {centre} FROM identity_places GROUP BY charge_id),
by_row AS (SELECT charge_id, {told}, {centre} FROM ordered GROUP BY charge_id),
merged AS (
    SELECT {kept}, {merged}, chosen.rows,
        CASE WHEN {nobody} THEN coalesce(by_identity.cost_centre, by_row.cost_centre, chosen.cost_centre)
            ELSE chosen.cost_centre END AS cost_centre,
        chosen.charge_id IN (SELECT charge_id FROM rivals) AS conflict,
        chosen.place > 1 AS rival, {payer} AS payer_changed
    FROM chosen LEFT JOIN by_identity USING (charge_id) LEFT JOIN by_row USING (charge_id)
)
SELECT {plain}, rows, conflict, rival, payer_changed, coalesce(occurred_at, enqueued_at) AS "at" FROM merged
"""


def contradicts(one: str, other: str) -> str:
    """Return the condition of ``charge.contradicts``: what only one of them knows (NULL) is no contradiction."""
    return " OR ".join(f"{_count(one, name)} <> {_count(other, name)}" for name in COUNTED)


def _count(row: str, name: str) -> str:
    """Quantities are a map; as text in the order of their names they can be compared."""
    if name == "quantities":
        return f"nullif(list_sort(map_entries({row}.quantities))::VARCHAR, '[]')"
    return f'{row}."{name}"'


def _known(name: str) -> str:
    """An operation ``unknown`` counts as lacking."""
    return f"nullif(\"{name}\", 'unknown')" if name == "operation" else f'"{name}"'


def _merged(name: str) -> str:
    if name == "operation":
        return "coalesce(nullif(chosen.operation, 'unknown'), by_identity.operation, by_row.operation, 'unknown')"
    return f'coalesce(chosen."{name}", by_identity."{name}", by_row."{name}")'
