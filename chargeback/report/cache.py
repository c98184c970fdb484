"""Committed rows of a ledger as Parquet files on this machine, kept up to date by reading only what is new.

    journal ──Journal.read(after)──> NDJSON, 100,000 rows at a time ──DuckDB──> 000001.charges.parquet
                                                                                state.json: read up to here

A reader that scanned the journals themselves would parse every row for every report, and a torn last line
would fail its whole query. The files hold what ``read`` yields and nothing else, so commits decide here too.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct, field

from chargeback.charge import Charge
from chargeback.errors import StopError
from chargeback.journal import paths
from chargeback.journal.rows import BillingRow, Gap, Identity, Reject, Repaired, Rerated, Run, encode
from chargeback.ports import Journal, Ledger, Position
from chargeback.report import sql
from chargeback.report.columns import (
    CHARGE_COLUMNS,
    COST,
    COST_SCALE,
    IDENTITY_COLUMNS,
    LAYOUT,
    listed,
    quoted,
    text,
)

CHUNK = 100_000
"""Rows of one file: about 150 MB of NDJSON for a moment, 10 MB of Parquet for good."""
MOST_PARTS = 24
"""Files of one journal and kind before they are put together."""

TROUBLE_COLUMNS = {
    "kind": "VARCHAR",
    "row_id": "VARCHAR",
    "reason": "VARCHAR",
    "message": "VARCHAR",
    "dead_letter": "VARCHAR",
    "at": "TIMESTAMP",
    "first": "BIGINT",
    "last": "BIGINT",
}
RERATED_COLUMNS = {
    "run": "VARCHAR",
    "previous_cost": COST,
    "previous_rating": "VARCHAR",
    "previous_cost_centre": "VARCHAR",
    "previous_version": "VARCHAR",
    **CHARGE_COLUMNS,
}
RUN_COLUMNS = {
    "run": "VARCHAR",
    "rate_table_version": "VARCHAR",
    "sha256": "VARCHAR",
    "start": "TIMESTAMP",
    "to": "TIMESTAMP",
    "calls": "BIGINT",
    "changed": "BIGINT",
    "made_at": "TIMESTAMP",
}
KINDS: dict[str, dict[str, str]] = {
    "charges": CHARGE_COLUMNS,
    "identities": IDENTITY_COLUMNS,
    "rerated": RERATED_COLUMNS,
    "runs": RUN_COLUMNS,
    "trouble": TROUBLE_COLUMNS,
}
"""Kind of file -> its columns; a file also has ``journal`` and ``seq``, its rows' order in the journal."""


class Cached(Struct, kw_only=True):
    """What is known of one journal."""

    name: str
    position: Position | None = None
    """Read up to here."""
    rows: int = 0
    parts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


class Cache:
    """Opened by ``opened``; nobody else changes it until it is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journals: list[Cached] = []

    def sync(self, ledger: Ledger) -> None:
        """Read what is new in every journal."""
        self.journals = [self._synced(ledger.journal(name)) for name in ledger.journals()]

    def files(self, kind: str) -> list[Path]:
        return [
            self.folder / _folder(each.name) / part
            for each in self.journals
            for part in each.parts.get(kind, ())
        ]

    def rows(self) -> int:
        return sum(each.rows for each in self.journals)

    def _synced(self, journal: Journal) -> Cached:
        folder = self.folder / _folder(journal.name)
        known = _load(folder / "state.json", journal)
        folder.mkdir(parents=True, exist_ok=True)
        if known.position is None or known.position != journal.committed():
            for rows in _chunks(journal, known.position):
                self._add(folder, known, rows)
                known.position = rows[-1][0]
                known.rows += len(rows)
                _compact(folder, known)
                _save(folder / "state.json", known)
        return known

    def _add(self, folder: Path, known: Cached, rows: list[tuple[Position, BillingRow]]) -> None:
        grouped: dict[str, list[bytes]] = {}
        for seq, (_, row) in enumerate(rows, known.rows + 1):
            for kind, line in _line(row):
                grouped.setdefault(kind, []).append(b'{"seq":%d,%b' % (seq, line[1:]))
        for kind, lines in grouped.items():
            parts = known.parts.setdefault(kind, [])
            name = f"{known.rows:012}.{kind}.parquet"
            _write(folder / name, kind, lines, known)
            if name not in parts:
                parts.append(name)


@contextmanager
def opened(folder: Path, ledger: Ledger) -> Generator[Cache]:
    """Bring the cache up to date; one process at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cache = Cache(folder / LAYOUT)
        cache.sync(ledger)
        yield cache
    finally:
        os.close(lock)


def _chunks(journal: Journal, after: Position | None) -> Iterator[list[tuple[Position, BillingRow]]]:
    rows = journal.read(after=after)
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


# ---- one row as lines of NDJSON


def _line(row: BillingRow) -> Iterable[tuple[str, bytes]]:
    maker = _LINES.get(type(row))
    return () if maker is None else maker(row)


def _charge(row: Charge) -> Iterable[tuple[str, bytes]]:
    _insist_on_scale(row)
    return (("charges", encode(row)),)


def _identity(row: Identity) -> Iterable[tuple[str, bytes]]:
    whole = {
        "charge_id": row.charge_id,
        "row_id": row.row_id,
        "source_format": row.source_format,
        "rank": row.rank,
        "cost_centre": row.cost_centre,
        **msgspec.structs.asdict(row.facts),
    }
    return (("identities", msgspec.json.encode(whole) + b"\n"),)


def _rerated(row: Rerated) -> Iterable[tuple[str, bytes]]:
    _insist_on_scale(row.charge)
    about = {
        "run": row.run,
        "previous_cost": None if row.previous_cost is None else f"{row.previous_cost:f}",
        "previous_rating": row.previous_rating,
        "previous_cost_centre": row.previous_cost_centre,
        "previous_version": row.previous_version,
    }
    # Both are objects in one line each: the first's closing brace becomes the comma between them.
    return (("rerated", msgspec.json.encode(about)[:-1] + b"," + encode(row.charge)[1:]),)


def _run(row: Run) -> Iterable[tuple[str, bytes]]:
    return (("runs", encode(row)),)


def _reject(row: Reject) -> Iterable[tuple[str, bytes]]:
    told = {
        "kind": "reject",
        "row_id": row.row_id,
        "reason": row.reason,
        "message": row.message,
        "dead_letter": row.dead_letter,
        "at": row.enqueued_at,
    }
    return (("trouble", msgspec.json.encode(told) + b"\n"),)


def _gap(row: Gap) -> Iterable[tuple[str, bytes]]:
    return (("trouble", msgspec.json.encode({"kind": "gap", "first": row.first, "last": row.last}) + b"\n"),)


def _repaired(row: Repaired) -> Iterable[tuple[str, bytes]]:
    told = {"kind": "repaired", "first": row.first, "last": row.last}
    return (("trouble", msgspec.json.encode(told) + b"\n"),)


_LINES: Mapping[type, Callable[..., Iterable[tuple[str, bytes]]]] = {
    Charge: _charge,
    Identity: _identity,
    Rerated: _rerated,
    Run: _run,
    Reject: _reject,
    Gap: _gap,
    Repaired: _repaired,
}


def _insist_on_scale(charge: Charge) -> None:
    cost = charge.total_cost
    if cost is not None:
        exponent = cost.as_tuple().exponent
        if isinstance(exponent, str) or -exponent > COST_SCALE:
            raise StopError(
                f"charge {charge.charge_id}: its cost {cost} has more than {COST_SCALE} decimals, which a report "
                "would have to round; no rate table makes such a price: was the row changed from outside?"
            )


# ---- files


def _write(file: Path, kind: str, lines: list[bytes], known: Cached) -> None:
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".ndjson") as raw:
        raw.writelines(lines)
        raw.flush()
        columns = ", ".join(quoted(name) for name in KINDS[kind])
        query = (
            f"SELECT {columns}, {text(known.name)} AS journal, seq "
            f"FROM read_json({text(raw.name)}, format = 'newline_delimited', maximum_object_size = 16777216, hive_partitioning = false, "
            f"columns = {listed({'seq': 'BIGINT', **KINDS[kind]})})"
        )
        sql.to_parquet(query, file)


def _compact(folder: Path, known: Cached) -> None:
    for kind, parts in known.parts.items():
        if len(parts) <= MOST_PARTS or sum((folder / part).stat().st_size for part in parts) > 2**28:
            continue
        whole = f"{known.rows:012}.{kind}.all.parquet"
        sources = ", ".join(text(str(folder / part)) for part in parts)
        sql.to_parquet(
            f"SELECT * FROM read_parquet([{sources}], hive_partitioning = false) ORDER BY seq", folder / whole
        )
        old, known.parts[kind] = parts, [whole]
        _save(folder / "state.json", known)
        for part in old:
            (folder / part).unlink(missing_ok=True)


def _load(file: Path, journal: Journal) -> Cached:
    try:
        known = msgspec.json.decode(file.read_bytes(), type=Cached)
    except (FileNotFoundError, msgspec.DecodeError):
        return Cached(name=journal.name)
    committed = journal.committed()
    ahead = known.position is not None and (committed is None or committed < known.position)
    whole = all((file.parent / part).exists() for parts in known.parts.values() for part in parts)
    # A journal that ends before what was read is another one: a ledger that was made anew.
    return known if whole and not ahead else Cached(name=journal.name)


def _save(file: Path, known: Cached) -> None:
    _replace(file, lambda out: out.write(msgspec.json.encode(known)))


def _replace(file: Path, write: Callable[[IO[bytes]], object]) -> None:
    beside = file.with_name(f".{file.name}.new")
    with beside.open("wb") as out:
        write(out)
    beside.replace(file)


def _folder(journal: str) -> str:
    return paths.folder(journal)
