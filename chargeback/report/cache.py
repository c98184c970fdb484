"""Committed rows of a ledger as Parquet files on this machine, kept up to date by reading only what is new.

    journal ──Journal.lines(after)──> NDJSON, 100,000 rows at a time ──DuckDB──> 000001.charges.parquet
                                                                                 state.json: read up to here

A reader that scanned the journals themselves would parse every row for every report, and a torn last line
would fail its whole query. The files hold what ``lines`` yields and nothing else, so commits decide here too.
A line goes to DuckDB as it was written: making a record of each and text of it again takes longer than all the rest.
"""

import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct, field

from chargeback.charge import Charge
from chargeback.errors import StopError
from chargeback.facts import FACT_FIELDS
from chargeback.journal import paths
from chargeback.journal.framing import row as decoded
from chargeback.journal.rows import Rerated
from chargeback.ports import Journal, Ledger, Position
from chargeback.report import sql
from chargeback.report.columns import (
    CHARGE_COLUMNS,
    COST,
    COST_SCALE,
    IDENTITY_COLUMNS,
    listed,
    quoted,
    struct,
    text,
)
from chargeback.report.rule import IDENTITY_KEY_COLUMNS, KEY_COLUMNS, charge_keys, identity_keys
from chargeback.watching import Watch, unwatched

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
PLACE = {"journal": "VARCHAR", "seq": "BIGINT"}
"""Every file also tells where its rows stand: the journal, and their order in it."""
KINDS: dict[str, dict[str, str]] = {
    "charges": {**CHARGE_COLUMNS, **KEY_COLUMNS, **PLACE},
    "identities": {**IDENTITY_COLUMNS, **IDENTITY_KEY_COLUMNS, **PLACE},
    "rerated": {**RERATED_COLUMNS, **PLACE},
    "runs": {**RUN_COLUMNS, **PLACE},
    "trouble": {**TROUBLE_COLUMNS, **PLACE},
}
"""Kind of file -> its columns."""


class _Reading(Struct, frozen=True):
    """How lines become a file: what DuckDB reads of each, and what it makes of that."""

    columns: dict[str, str]
    made: str


_FACTS = {name: kind for name, kind in IDENTITY_COLUMNS.items() if name in FACT_FIELDS}
_OF_IDENTITY = {name: kind for name, kind in IDENTITY_COLUMNS.items() if name not in FACT_FIELDS}
_OF_RUN = {name: kind for name, kind in RERATED_COLUMNS.items() if name not in CHARGE_COLUMNS}
_READINGS: dict[str, _Reading] = {
    "charges": _Reading(CHARGE_COLUMNS, "*"),
    "identities": _Reading({**_OF_IDENTITY, "facts": struct(_FACTS)}, "* EXCLUDE (facts), facts.*"),
    "rerated": _Reading({**_OF_RUN, "charge": struct(CHARGE_COLUMNS)}, "* EXCLUDE (charge), charge.*"),
    "runs": _Reading(RUN_COLUMNS, "*"),
    "trouble": _Reading(
        {
            **{name: kind for name, kind in TROUBLE_COLUMNS.items() if name not in ("kind", "at")},
            "row": "VARCHAR",
            "enqueued_at": "TIMESTAMP",
        },
        '* EXCLUDE ("row", enqueued_at), "row" AS kind, enqueued_at AS "at"',
    ),
}
# msgspec writes the tag first, so what a line is can be told without reading it.
_KIND_OF: dict[bytes, str | None] = {
    b'{"row":"charge",': "charges",
    b'{"row":"identity",': "identities",
    b'{"row":"rerated",': "rerated",
    b'{"row":"run",': "runs",
    b'{"row":"reject",': "trouble",
    b'{"row":"gap",': "trouble",
    b'{"row":"repaired",': "trouble",
    b'{"row":"part",': None,
    b'{"row":"ignored",': None,
    b'{"row":"budget",': None,
}


class Cached(Struct, kw_only=True):
    """What is known of one journal."""

    name: str
    position: Position | None = None
    """Read up to here."""
    rows: int = 0
    parts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


class Cache:
    """Opened by ``opened``; nobody else changes it until it is closed."""

    def __init__(self, folder: Path, db: sql.Database) -> None:
        self.folder = folder
        self._db = db
        self.journals: list[Cached] = []

    def sync(self, ledger: Ledger, watch: Watch = unwatched) -> None:
        """Read what is new in every journal."""
        names = ledger.journals()
        self.journals = [self._synced(ledger.journal(name)) for name in watch("journals", names, len(names))]

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
            lines = journal.lines(after=known.position)
            while _take(self._db, folder, known, lines):
                _compact(self._db, folder, known)
                _save(folder / "state.json", known)
        return known


@contextmanager
def opened(folder: Path, ledger: Ledger, db: sql.Database, watch: Watch = unwatched) -> Generator[Cache]:
    """Bring the cache up to date with the help of ``db``; one process at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cache = Cache(folder / layout(), db)
        cache.sync(ledger, watch)
        yield cache
    finally:
        os.close(lock)


def _take(db: sql.Database, folder: Path, known: Cached, lines: Iterator[tuple[Position, bytes]]) -> bool:
    """Add the next lines as a file of each kind among them; False when there are none."""
    before, position = known.rows, known.position
    with ExitStack() as stack:
        raws: dict[str, IO[bytes]] = {}
        for seq, (at, line) in enumerate(islice(lines, CHUNK), before + 1):
            position = at
            known.rows = seq
            kind = kind_of(line, known.name, at.offset)
            if kind is None:
                continue
            if kind not in raws:
                raws[kind] = stack.enter_context(tempfile.NamedTemporaryFile(dir=folder, suffix=".ndjson"))
            raws[kind].write(numbered(line, seq))
        for kind, raw in raws.items():
            raw.flush()
            name = f"{before:012}.{kind}.parquet"
            to_parquet(db, Path(raw.name), kind, known.name, folder / name)
            parts = known.parts.setdefault(kind, [])
            if name not in parts:
                parts.append(name)
    known.position = position
    return known.rows > before


# ---- lines


def kind_of(line: bytes, journal: str, offset: int) -> str | None:
    """Return the kind of file a line belongs to; None: reports don't need it. Raises StopError for a stranger."""
    tag = line[: line.find(b",") + 1]
    if tag not in _KIND_OF or b"E-" in line or _TOO_FINE.search(line):
        row = decoded(journal, offset, line)
        _insist_on_scale(row.charge if isinstance(row, Rerated) else row)
    return _KIND_OF.get(tag)


_TOO_FINE = re.compile(rb"\.[0-9]{%d}" % (COST_SCALE + 1))


def _insist_on_scale(row: object) -> None:
    if not isinstance(row, Charge) or row.total_cost is None:
        return
    exponent = row.total_cost.as_tuple().exponent
    if isinstance(exponent, str) or -exponent > COST_SCALE:
        raise StopError(
            f"charge {row.charge_id}: its cost {row.total_cost} has more than {COST_SCALE} decimals, which a report "
            "would have to round; no rate table makes such a price: was the row changed from outside?"
        )


def numbered(line: bytes, seq: int) -> bytes:
    return b'{"seq":%d,%b\n' % (seq, line[1:].rstrip(b"\n"))


# ---- files


def to_parquet(db: sql.Database, raw: Path, kind: str, journal: str, file: Path) -> None:
    """Write numbered lines of one kind as Parquet. Raises StopError for a line that is damaged."""
    reading = _READINGS[kind]
    columns = ", ".join(quoted(name) for name in KINDS[kind])
    query = f"""
SELECT {columns} FROM (
    SELECT *, {text(journal)} AS journal{_keys(kind, journal)} FROM (SELECT {reading.made} FROM read_json(
        {text(str(raw))}, format = 'newline_delimited', maximum_object_size = 16777216,
        hive_partitioning = false, columns = {listed({"seq": "BIGINT", **reading.columns})}
    ))
)"""
    try:
        sql.to_parquet(db, query, file)
    except sql.UnreadableError:
        with raw.open("rb") as lines:
            for line in lines:
                decoded(journal, 0, b"{" + line.partition(b",")[2])
        raise


def _keys(kind: str, journal: str) -> str:
    return {"charges": f", {charge_keys(number_of(journal))}", "identities": f", {identity_keys()}"}.get(
        kind, ""
    )


def number_of(journal: str) -> int:
    """Tell journals apart by 56 bits of their names."""
    return int.from_bytes(hashlib.sha256(journal.encode()).digest()[:7])


def _compact(db: sql.Database, folder: Path, known: Cached) -> None:
    for kind, parts in known.parts.items():
        if len(parts) <= MOST_PARTS or sum((folder / part).stat().st_size for part in parts) > 2**28:
            continue
        whole = f"{known.rows:012}.{kind}.all.parquet"
        sources = ", ".join(text(str(folder / part)) for part in parts)
        sql.to_parquet(
            db,
            f"SELECT * FROM read_parquet([{sources}], hive_partitioning = false) ORDER BY seq",
            folder / whole,
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


_LAYOUT = hashlib.sha256(repr((KINDS, 1)).encode()).hexdigest()[:12]
"""Files of another layout are never mixed with these."""


def layout() -> str:
    """Name the files' columns. Their numbers are DuckDB's hashes, which another version may make differently."""
    return f"{_LAYOUT}-{sql.version()}"


def _folder(journal: str) -> str:
    return paths.folder(journal)
