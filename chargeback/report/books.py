"""The books of a ledger: every call once, by its newest rating, with its payer, markup and share of pools.

    open rows ──rule──> calls ──newest run──> rated ──who pays──> paid ──compared with closed──> due ──┐
    closed months ─────────────────────────────────────────────────────────────────────────────────────┼──> entries
    pools ──allocated by the hour──────────────────────────────────────────────────────────────────────┘

``entries`` is what every report, statement, export and close reads: one SQL view, so they cannot disagree.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from chargeback.ports import Ledger
from chargeback.rates.table import RateTable, parse_canonical
from chargeback.report import cache, late, payers, pooling, rule, sql
from chargeback.report.bill import LOWER_BOUNDS, UPPER_BOUNDS
from chargeback.report.closed import Manifest, fetched, manifests
from chargeback.report.columns import CHARGE_COLUMNS, COST, MONEY, PERCENT, empty, quoted, text
from chargeback.report.span import EVER, Span
from chargeback.report.sql import Database
from chargeback.watching import Watch, unwatched

ENTRY_COLUMNS: dict[str, str] = {
    **CHARGE_COLUMNS,
    "rows": "BIGINT",
    "conflict": "BOOLEAN",
    "rival": "BOOLEAN",
    "at": "TIMESTAMP",
    "kind": "VARCHAR",
    "run": "VARCHAR",
    "markup": MONEY,
    "markup_factor": PERCENT,
    "pool": "VARCHAR",
    "pool_cost": MONEY,
    "weight": COST,
    "corrects": "VARCHAR",
    "waiver": "VARCHAR",
    "lower_bound": "BOOLEAN",
    "upper_bound": "BOOLEAN",
}
"""An entry: ``kind`` is ``call``, ``correction`` (of a closed month), ``pool`` or ``idle``."""


class Books(Struct, frozen=True):
    """A ledger at one moment, ready for questions."""

    db: Database
    table: RateTable | None
    """Decides markups, pools, names, and the payer of calls put together from several rows."""
    cache: cache.Cache
    closed: list[Manifest]
    settled: bool = False
    """All of the span is closed: ``closed_cube_0`` and ``_1`` have it summed."""

    @property
    def closed_until(self) -> datetime | None:
        """Every call before this is settled; None while no month is closed."""
        return self.closed[-1].span.end if self.closed else None


@contextmanager
def opened(
    ledger: Ledger,
    folder: Path,
    *,
    now: datetime,
    table: RateTable | None = None,
    span: Span = EVER,
    watch: Watch = unwatched,
) -> Generator[Books]:
    """Bring the cache in ``folder`` up to date and open the books; pools are divided within ``span``."""
    closed = manifests(ledger)
    with sql.database() as db, cache.opened(folder, ledger, db, watch) as cached:
        for kind, columns in cache.KINDS.items():
            _view(db, kind, _files(cached.files(kind), columns))
        settled_until = closed[-1].span.end if closed else None
        late.prepare(db, closed)
        files = fetched(ledger, (file for each in closed for file in each.files), folder / "closed")
        _view(db, "closed_entries", _files(files, ENTRY_COLUMNS))
        if table is None and settled_until and span.end and span.end <= settled_until:
            table = stored_table(ledger, closed[-1].rate_table_version or "")
        table = table or newest_table(db, ledger)
        if settled_until and span.end and span.end <= settled_until:
            # All of it is settled: nothing that came since can change it, so nothing of it is looked at.
            _view(db, "entries", "FROM closed_entries")
            _view(db, "pool_entries", "FROM closed_entries WHERE kind IN ('pool', 'idle')")
            for place in range(len(closed[0].cubes)):
                cubes = fetched(ledger, (each.cubes[place] for each in closed), folder / "closed")
                _view(db, f"closed_cube_{place}", _files(cubes, {}))
            yield Books(db, table, cached, closed, settled=True)
            return
        _view(db, "open_charges", late.open_charges(settled_until))
        _view(db, "open_identities", late.open_identities(settled_until))
        # A stage that has nothing to do is left out: planning all of them takes longer than a small report.
        mixed = rule.prepare(db, "open_charges", "open_identities")
        _view(db, "calls", rule.calls("open_charges", several=mixed))
        has_runs = bool(db.one("SELECT count(*) FROM runs"))
        _view(db, "rated", _rated() if has_runs else "SELECT *, NULL::VARCHAR AS run FROM calls")
        payers.prepare(db, table)
        look_up = mixed and rule.payers_told(db) and payers.look_up(db, "rated", table)
        _view(db, "paid", payers.paid("rated", table, look_up=look_up))
        if settled_until is not None:
            db.run(f"CREATE TABLE settled AS {late.settled('open_charges')}")
        _view(db, "due", late.due("paid", settled_until))
        pooling.prepare(db)
        _view(db, "entries", _entries())
        if table is not None and table.rows.pools:
            _divide_pools(db, table, span, now, settled_until)
        yield Books(db, table, cached, closed)


def newest_table(db: Database, ledger: Ledger) -> RateTable | None:
    """Return the table of the newest rating, of a call or of a run, as the ledger keeps it."""
    version = db.one(
        "SELECT arg_max(version, moment) FROM (SELECT rate_table_version AS version, "
        "coalesce(enqueued_at, occurred_at) AS moment FROM charges UNION ALL SELECT rate_table_version, made_at FROM runs)"
    )
    return None if version is None else stored_table(ledger, str(version))


def stored_table(ledger: Ledger, version: str) -> RateTable | None:
    """Find a table by the version on a charge: the digits behind the plus begin its file's name."""
    digits = version.rpartition("+")[2]
    for path in ledger.stored("rates"):
        if path.startswith(f"rates/{digits}"):
            data = ledger.fetch(path)
            return None if data is None else parse_canonical(data)
    return None


def _divide_pools(
    db: Database, table: RateTable, span: Span, now: datetime, settled_until: datetime | None
) -> None:
    start = span.start
    if start is None:
        first = db.one("SELECT min(coalesce(occurred_at, enqueued_at)) FROM charges")
        if first is None:
            return
        start = datetime(first.year, first.month, 1, tzinfo=UTC)
    start = start if settled_until is None else max(start, settled_until)
    end = min(span.end or now, now)
    if start < end:
        pooling.fill(db, table, "due", start, end)


def _files(files: list[Path], columns: dict[str, str]) -> str:
    if not files:
        return empty(columns)
    names = ", ".join(text(str(file)) for file in files)
    # Folders are named like columns (`kind=source`), which would be taken for columns.
    return f"SELECT * FROM read_parquet([{names}], hive_partitioning = false)"


def _view(db: Database, name: str, query: str) -> None:
    db.run(f"CREATE VIEW {name} AS {query}")


def _rated() -> str:
    """Take a call's rating from the newest complete run that rated the very row that wins today."""
    told = ", ".join(f'run_row."{name}"' for name in CHARGE_COLUMNS)
    return f"""
WITH newest AS (
    SELECT rerated.* FROM rerated JOIN runs USING (run)
    QUALIFY row_number() OVER (PARTITION BY charge_id ORDER BY runs.made_at DESC, run DESC) = 1
)
SELECT calls.*, NULL::VARCHAR AS run FROM calls
WHERE conflict OR (charge_id, row_id) NOT IN (SELECT (charge_id, row_id) FROM newest)
UNION ALL
SELECT {told}, calls.rows, calls.conflict, false AS rival, false AS payer_changed, calls."at", run_row.run
FROM calls JOIN newest AS run_row ON calls.charge_id = run_row.charge_id AND calls.row_id = run_row.row_id
WHERE NOT calls.conflict
"""


def _entries() -> str:
    nothing = {name: kind for name, kind in ENTRY_COLUMNS.items() if name not in pooling.COLUMNS}
    return f"""
FROM closed_entries
UNION ALL BY NAME
SELECT *, NULL::VARCHAR AS pool, NULL::{MONEY} AS pool_cost, NULL::{COST} AS weight, NULL::VARCHAR AS waiver,
    truncated OR {_noted(LOWER_BOUNDS)} AS lower_bound, {_noted(UPPER_BOUNDS)} AS upper_bound
FROM due
UNION ALL BY NAME
SELECT *, {", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in nothing.items())} FROM pool_entries
"""


def _noted(words: frozenset[str]) -> str:
    return f"list_has_any(usage_notes, [{', '.join(text(word) for word in sorted(words))}])"
