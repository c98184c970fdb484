"""Write a month for good: its rows as Parquet, then the manifest that makes them the month.

Files are named by their content and the manifest is put once: stopped half-way, the same command goes on,
and of two at a time one wins and the other is told.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from chargeback import __version__
from chargeback.closing.obstacles import GRACE, UNALLOCATED, Obstacle, in_month, obstacles, remaining
from chargeback.errors import StopError, UsageError
from chargeback.pools import to_cents
from chargeback.ports import Ledger
from chargeback.report.books import ENTRY_COLUMNS, Books
from chargeback.report.closed import FOLDER, File, Frozen, Manifest, Sum, Waiver, encode, path_of
from chargeback.report.columns import quoted, text
from chargeback.report.query import CUBES, cube, currency, exact_sum, plain
from chargeback.report.span import Span, instant, month
from chargeback.report.sql import PARQUET

FILE_BYTES = "64MB"


class Draft(Struct, frozen=True, kw_only=True):
    """A month before it is closed."""

    period: str
    span: Span
    found: list[Obstacle]
    open: list[Obstacle]
    """Of these, what nobody answers for."""


def draft(
    books: Books,
    ledger: Ledger,
    period: str,
    waivers: Sequence[Waiver],
    *,
    now: datetime,
    grace: timedelta = GRACE,
) -> Draft:
    """Look at what stands in the way. Raises UsageError for a month that cannot be closed at all yet."""
    span = month(period)
    _refuse(books, period, span, now)
    found = obstacles(books, ledger, span, grace)
    if span.end is not None and now < span.end + grace:
        told = f"its grace ends {span.end + grace:%Y-%m-%d %H:%M} UTC; until then events may come"
        found.insert(0, Obstacle(id=f"grace:{period}", kind="grace", told=told))
    return Draft(period=period, span=span, found=found, open=remaining(found, [each.id for each in waivers]))


def _refuse(books: Books, period: str, span: Span, now: datetime) -> None:
    if any(each.period == period for each in books.closed):
        raise UsageError(
            f"{period} is closed already; what comes late is a correction in the next open month"
        )
    if span.end is None or now < span.end:
        raise UsageError(f"{period} is not over: expected a month that ended before {now:%Y-%m-%d %H:%M} UTC")
    settled = books.closed_until
    if settled and span.start and span.start < settled:
        raise UsageError(
            f"{period} lies before {books.closed[-1].period}, which is closed: months close in order"
        )
    if not books.db.one(f"SELECT count(*) FROM entries WHERE {in_month(span)}"):
        raise UsageError(f"{period}: the ledger holds no calls of this month; there is nothing to close")
    first = books.db.one('SELECT min("at") FROM due')
    begin = span.start.replace(tzinfo=None) if span.start else None
    if first is not None and begin is not None and first < begin:
        raise UsageError(f"close {first:%Y-%m} first: it holds calls, and months close in order")


def close(
    books: Books,
    ledger: Ledger,
    ready: Draft,
    waivers: Sequence[Waiver],
    *,
    now: datetime,
    writer: str,
) -> Manifest:
    """Write the month. Raises StopError when somebody else closed it meanwhile."""
    if ready.open:
        raise StopError(f"{ready.period}: {len(ready.open)} obstacles are neither mended nor waived")
    used = [each for each in waivers if any(each.id == found.id for found in ready.found)]
    with tempfile.TemporaryDirectory(prefix="chargeback-close-") as folder:
        local = _write(books, ready.span, used, Path(folder))
        _prove_once(books, local)
        files = tuple(_kept(books, ledger, ready.period, file) for file in local)
        cubes = _cubes(books, local, Path(folder))
        summed = tuple(_kept(books, ledger, ready.period, file) for file in cubes)
        manifest = _manifest(books, ready, cubes[0], files, summed, used, now=now, writer=writer)
    _pin_table(books, ledger)
    if not ledger.put_once(path_of(ready.period), encode(manifest)):
        raise StopError(f"{ready.period}: somebody else closed it at the same time; theirs counts")
    return manifest


def _pin_table(books: Books, ledger: Ledger) -> None:
    if books.table is not None:
        ledger.put_once(f"rates/{books.table.sha256}.json", books.table.canonical)


def _write(books: Books, span: Span, waivers: Sequence[Waiver], folder: Path) -> list[Path]:
    books.db.run("CREATE OR REPLACE TABLE waived (id VARCHAR, waiver VARCHAR)")
    books.db.insert("waived", [(each.id, f"{each.who}: {each.why}") for each in waivers])
    columns = ", ".join(f"{quoted(name)}" for name in ENTRY_COLUMNS)
    start = instant(span.start) if span.start else "NULL"
    query = f"""
SELECT {columns} FROM (
    SELECT entries.* REPLACE (
        waived.waiver AS waiver,
        CASE WHEN waived.id IS NULL THEN cost_centre ELSE {text(UNALLOCATED)} END AS cost_centre,
        CASE WHEN waived.id IS NULL THEN markup ELSE 0 END AS markup,
        coalesce("at", {start}) AS "at"
    )
    FROM entries LEFT JOIN waived ON waived.id = charge_id
    WHERE {in_month(span)} AND NOT coalesce(rival, false)
)"""
    target = text(str(folder / "part"))
    books.db.run(
        f"COPY ({query}) TO {target} ({PARQUET}, FILE_SIZE_BYTES '{FILE_BYTES}', PER_THREAD_OUTPUT true)"
    )
    return sorted((folder / "part").glob("*.parquet"))


def _prove_once(books: Books, local: Sequence[Path]) -> None:
    """Raise StopError if a call is in the files twice."""
    # Counting ten million ids takes a gigabyte; counting a number from each finds out as well that there is none.
    rows, ids = books.db.rows(
        f"SELECT count(*), count(DISTINCT hash(charge_id)) FROM {_source(local)} WHERE charge_id IS NOT NULL"
    )[0]
    if rows == ids:
        return
    twice = books.db.one(
        f"SELECT charge_id FROM {_source(local)} WHERE charge_id IS NOT NULL GROUP BY charge_id HAVING count(*) > 1 LIMIT 1"
    )
    if twice is not None:
        raise StopError(f"charge {twice} would be in the month twice; this is a fault of the program")


def _source(files: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(text(str(each)) for each in files)}], hive_partitioning = false)"


def _cubes(books: Books, local: Sequence[Path], folder: Path) -> list[Path]:
    """Sum what was written, and the smaller summaries from the largest one."""
    made: list[Path] = []
    for place in reversed(range(len(CUBES))):
        file = folder / f"cube{place}.parquet"
        query = (
            cube(_source(local), CUBES[place]) if not made else cube(_source(made), CUBES[place], summed=True)
        )
        books.db.run(f"COPY ({query}) TO {text(str(file))} ({PARQUET})")
        made = [file, *made]
    return made


def _kept(books: Books, ledger: Ledger, period: str, file: Path) -> File:
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    path = f"{FOLDER}/{period}/{digest}.parquet"
    ledger.put_once(path, data)
    rows = books.db.one(f"SELECT count(*) FROM read_parquet({text(str(file))})")
    return File(path=path, sha256=digest, bytes=len(data), rows=int(rows))


def _manifest(
    books: Books,
    ready: Draft,
    cube_file: Path,
    files: tuple[File, ...],
    summed: tuple[File, ...],
    waivers: Sequence[Waiver],
    *,
    now: datetime,
    writer: str,
) -> Manifest:
    """Sum what was written, not what was meant to be."""
    sums = [
        _sum(*row)
        for row in books.db.rows(
            "SELECT coalesce(cost_centre, 'UNALLOCATED'), sum(calls)::BIGINT, sum(corrections)::BIGINT, "
            f"sum(cost), sum(markup), sum(pool_cost) FROM {_source([cube_file])} GROUP BY ALL ORDER BY 1"
        )
    ]
    run = books.db.one("SELECT arg_max(run, made_at) FROM runs")
    invoiced = exact_sum(*(each.invoiced for each, _ in sums))
    billed = exact_sum(*(each.billed for each, _ in sums))
    return Manifest(
        period=ready.period,
        closed_at=now,
        closed_by=writer,
        program=__version__,
        currency=currency(books, ready.span),
        rate_table_version=books.table.version if books.table else None,
        rate_table_sha256=books.table.sha256 if books.table else None,
        run=run,
        journals=tuple(_frozen(books)),
        files=files,
        cubes=summed,
        calls=sum(each.calls for each, _ in sums),
        corrections=sum(corrections for _, corrections in sums),
        billed=billed,
        invoiced=invoiced,
        residual=exact_sum(billed, -invoiced),
        sums=tuple(each for each, _ in sums),
        waivers=tuple(waivers),
    )


def _frozen(books: Books) -> Iterable[Frozen]:
    for each in books.cache.journals:
        if each.position is not None:
            yield Frozen(
                journal=each.name, segment=each.position.segment, bytes=each.position.offset, rows=each.rows
            )


def _sum(
    centre: str, calls: int, corrections: int, cost: Decimal, markup: Decimal, pool_cost: Decimal
) -> tuple[Sum, int]:
    billed = exact_sum(Decimal(cost), Decimal(markup), Decimal(pool_cost))
    invoiced = to_cents(billed)
    told = Sum(
        cost_centre=centre,
        calls=calls,
        cost=plain(Decimal(cost)),
        markup=plain(Decimal(markup)),
        pool_cost=plain(Decimal(pool_cost)),
        billed=billed,
        invoiced=invoiced,
        residual=exact_sum(billed, -invoiced),
    )
    return told, corrections
