"""The rule of ``journal.winner`` as SQL, made from the same constants; a property test holds both together.

Nearly every call has one row. Of most others one row wins and the rest adds nothing:

    every row ──key of its call──> alone ─────────────────────────────────────────────┬─> calls
                                   several ──the winner knows all, nobody contradicts─┘     ^
                                           └─something to merge, a conflict, a tie ──> mixed┘

``prepare`` decides that from a few narrow columns that were made when the row was read first (``keys``); the
views fetch what a question asks for.
"""

from chargeback.facts import FACT_FIELDS
from chargeback.journal.winner import OWN_FORMAT, PAYERS
from chargeback.report.columns import CHARGE_COLUMNS, quoted, text
from chargeback.report.sql import Database
from chargeback.usage import COUNTS

KEPT = tuple(name for name in CHARGE_COLUMNS if name not in FACT_FIELDS and name != "cost_centre")
# What makes two counts of one call a conflict: the tokens, and everything else that is metered.
COUNTED = (*COUNTS, "quantities")
# What decides who pays: where another row brought one of these, the payer is looked up again.
PAYER_FIELDS = ("subscription_id", "subscription_key_id", "app_id", "product", "tags", "occurred_at")

NUMBER = "DECIMAL(38,0)"
IDENTITY_KEY_COLUMNS = {"key": "UUID", "known": "INTEGER"}
KEY_COLUMNS = {
    **IDENTITY_KEY_COLUMNS,
    "order": NUMBER,
    "counts": "UBIGINT",
    "kind": "UBIGINT",
    "place": NUMBER,
}
"""Columns a row is kept with, numbers because they are compared many times as fast as text: the ``key`` of its
call (128 bits of the id), a bit for each fact that is ``known``, its rank as ``order`` (32 digits
sort alike as text and as a number), all that is metered as ``counts``, by whom as ``kind``, and its ``place``: the
journal, and the number there."""


def charge_keys(journal: int) -> str:
    """Return ``KEY_COLUMNS`` as SQL over a row's own columns; ``journal`` is a number of its journal, below 2 ** 56."""
    columns = {
        "order": f"rank::{NUMBER}",
        "counts": f"hash({', '.join(map(quoted, COUNTED))})",
        "kind": "hash(source_format, usage_source, truncated)",
        "place": f"({journal << 40}::{NUMBER} + seq)::{NUMBER}",
    }
    return ", ".join([identity_keys(), *(f"{made} AS {quoted(name)}" for name, made in columns.items())])


def identity_keys() -> str:
    bits = " + ".join(
        f"CASE WHEN {_known(name)} IS NULL THEN 0 ELSE {1 << bit} END" for bit, name in enumerate(FACT_FIELDS)
    )
    return f"md5(charge_id)::UUID AS key, ({bits})::INTEGER AS known"


def prepare(db: Database, charges: str, identities: str) -> bool:
    """Find the calls of several rows and make a view of those to be mixed; False when every row is a call."""
    db.run(f"CREATE OR REPLACE TABLE several AS {_several(charges, identities)}")
    if not db.one("SELECT count(*) FROM several"):
        return False
    db.run(f"CREATE OR REPLACE TABLE doubled AS {_doubled(charges)}")
    db.run(f"CREATE OR REPLACE TABLE won AS {_won(identities)}")
    db.run(f"CREATE OR REPLACE TABLE placed AS {_placed(charges)}")
    db.run(f"CREATE OR REPLACE TABLE rivals AS {_rivals(charges)}")
    db.run(f"CREATE OR REPLACE VIEW mixed_calls AS {_mixed(charges, identities)}")
    return True


def calls(charges: str, *, several: bool) -> str:
    """Return the query for calls: each once, a conflicting one once for each count.

    Columns: those of a charge; ``rows``, ``conflict``, ``rival`` (not the winner), ``payer_changed``; ``at``,
    its moment or else the hub's. ``several`` is what ``prepare`` returned.
    """
    plain = f"SELECT {_PLAIN}, {{rows}} AS rows, false AS conflict, false AS rival, false AS payer_changed, {_AT} FROM {charges}"
    if not several:
        return plain.format(rows="1")
    return f"""
{plain.format(rows="coalesce(won.rows, 1)")} LEFT JOIN won ON won.call = key
WHERE won.call IS NULL OR (won.alone AND won.winner = place)
UNION ALL FROM mixed_calls
"""


def payers_told(db: Database) -> bool:
    """Return whether rows brought a winner anything that decides who pays; ``prepare`` has been called."""
    return bool(
        db.one(
            "SELECT count(*) FROM placed WHERE payer_told AND (nth = 1 OR place IN (SELECT place FROM rivals))"
        )
    )


_PLAIN = ", ".join(map(quoted, CHARGE_COLUMNS))
_AT = 'coalesce(occurred_at, enqueued_at) AS "at"'


def _several(charges: str, identities: str) -> str:
    return (
        f"SELECT key FROM {charges} GROUP BY key HAVING count(*) > 1 "
        f"UNION SELECT key FROM {identities} WHERE key IN (SELECT key FROM {charges})"
    )


def _doubled(charges: str) -> str:
    numbers = ", ".join(map(quoted, KEY_COLUMNS))
    return f"SELECT {numbers} FROM {charges} WHERE key IN (SELECT key FROM several)"


def _won(identities: str) -> str:
    """Return the winner of each call, and whether it stands ``alone``: the other rows change nothing of it."""
    return f"""
WITH calls AS (
    SELECT key AS call, count(*) AS rows, arg_min(place, "order") AS winner, arg_min(known, "order") AS known,
        bit_or(known) AS told, min(counts) <> max(counts) AS differ
    FROM doubled GROUP BY key
),
-- Two rows of one rank: told apart by their ids, among the mixed; or one row in two journals (a requeued
-- event, a call expired by owner and by timer), which is one row there.
ties AS (SELECT key FROM doubled GROUP BY key, "order" HAVING count(*) > 1),
suspects AS (
    SELECT key FROM doubled WHERE key IN (SELECT call FROM calls WHERE differ)
    GROUP BY key, kind HAVING min(counts) <> max(counts)
),
named AS (SELECT key, bit_or(known) AS told FROM {identities} WHERE key IN (SELECT key FROM several) GROUP BY key)
SELECT call, rows, winner, calls.told | coalesce(named.told, 0) AS told,
    call NOT IN (SELECT key FROM ties) AND call NOT IN (SELECT key FROM suspects) AND ((calls.told | coalesce(named.told, 0)) & ~calls.known) = 0 AS alone
FROM calls LEFT JOIN named ON named.key = call
"""


def _placed(charges: str) -> str:
    """Return the rows of the other calls, in the order of the rule."""
    return f"""
WITH mine AS (
    SELECT key, "order", counts, kind, known, row_id, place
    FROM (FROM doubled WHERE key IN (SELECT call FROM won WHERE NOT alone)) JOIN (SELECT place, row_id FROM {charges}) USING (place)
    QUALIFY row_number() OVER (PARTITION BY key, row_id ORDER BY place) = 1
)
SELECT key AS call, place, counts, kind, row_number() OVER (PARTITION BY key ORDER BY "order", row_id) AS nth,
    count(*) OVER (PARTITION BY key) AS rows, (told & ~mine.known & {_PAYER_BITS}) <> 0 AS payer_told
FROM mine JOIN won ON call = key
"""


_PAYER_BITS = sum(1 << bit for bit, name in enumerate(FACT_FIELDS) if name in PAYER_FIELDS)


def _rivals(charges: str) -> str:
    their_counts = ", ".join(_count("other", name) for name in COUNTED)
    columns = ", ".join(map(quoted, COUNTED))
    return f"""
WITH pairs AS (
    SELECT other.call, other.place, other.nth, winner.place AS winner
    FROM placed AS other JOIN placed AS winner ON other.call = winner.call
        AND winner.nth = 1 AND other.kind = winner.kind AND other.counts <> winner.counts
),
counted AS (
    SELECT {columns}, place, usage_source FROM {charges}
    WHERE place IN (SELECT place FROM pairs UNION ALL SELECT winner FROM pairs)
)
SELECT call, pairs.place FROM pairs
JOIN counted AS other ON other.place = pairs.place JOIN counted AS winner ON winner.place = pairs.winner
WHERE winner.usage_source IN ('reported', 'gateway') AND ({contradicts("other", "winner")})
QUALIFY row_number() OVER (PARTITION BY call, {their_counts} ORDER BY nth) = 1
"""


def _mixed(charges: str, identities: str) -> str:
    """Return the query for calls whose rows tell different things."""
    kept = ", ".join(f'chosen."{name}"' for name in KEPT)
    merged = ", ".join(f'{_merged(name)} AS "{name}"' for name in FACT_FIELDS)
    payer = " OR ".join(f'{_merged(name)} IS DISTINCT FROM chosen."{name}"' for name in PAYER_FIELDS)
    told = ", ".join(f'arg_min({_known(name)}, nth) AS "{name}"' for name in FACT_FIELDS)
    somebody = " OR ".join(f'"{name}" IS NOT NULL' for name in PAYERS)
    centre = f"arg_min(cost_centre, nth) FILTER ({somebody}) AS cost_centre"
    nobody = " AND ".join(f'chosen."{name}" IS NULL' for name in PAYERS)
    own_first = f"source_format <> {text(OWN_FORMAT)}, rank, row_id"
    return f"""
WITH identity_orders AS (
    SELECT *, row_number() OVER (PARTITION BY key ORDER BY {own_first}) AS nth FROM {identities}
    WHERE key IN (SELECT call FROM placed)
),
by_identity AS (SELECT key AS call, {told}, {centre} FROM identity_orders GROUP BY key),
by_row AS (SELECT call, {told}, {centre} FROM {charges} JOIN (SELECT call, place, nth FROM placed WHERE rows > 1) USING (place) GROUP BY call),
chosen AS (
    SELECT * FROM {charges} JOIN (SELECT call, place, nth, rows, payer_told FROM placed) USING (place)
    WHERE nth = 1 OR place IN (SELECT place FROM rivals)
),
merged AS (
    SELECT {kept}, {merged}, chosen.rows,
        CASE WHEN {nobody} THEN coalesce(by_identity.cost_centre, by_row.cost_centre, chosen.cost_centre)
            ELSE chosen.cost_centre END AS cost_centre,
        chosen.call IN (SELECT call FROM rivals) AS conflict,
        chosen.nth > 1 AS rival, payer_told AND ({payer}) AS payer_changed
    FROM chosen LEFT JOIN by_identity USING (call) LEFT JOIN by_row USING (call)
)
SELECT {_PLAIN}, rows, conflict, rival, payer_changed, {_AT} FROM merged
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
