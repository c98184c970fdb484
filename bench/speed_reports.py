"""Figure 10: reports and the close of a month, on ledgers of millions of charges.

    python bench/speed_reports.py [--json] [--rows 10000000] [--rounds 7]

A ledger of a million rows is written by the journal's own encoder (``ledgers.py``) and read as every report
reads it; ten million are that cache under nine more sets of ids, made by DuckDB, since twenty gigabytes of
journal say nothing more about a report. Ledgers stay in ``build/bench-reports``. What is measured begins
with opening the books, the cache being up to date, as it is whenever the command was run before; reading a
journal for the first time is a figure of its own. Each figure runs in a process of its own, whose resident
memory is read at its end. Beside each stands its floor: DuckDB's own time for the least work on the same rows.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import ledgers
import msgspec
from measure import Check, Figure, Options, ratio

from chargeback.closing.close import close, draft
from chargeback.journal.local import ledger as open_folder
from chargeback.ports import Ledger
from chargeback.report import cache, rule, sql
from chargeback.report.books import Books, opened
from chargeback.report.closed import Waiver
from chargeback.report.columns import text
from chargeback.report.query import groups
from chargeback.report.span import month

FOLDER = HERE.parent / "build" / "bench-reports"
ROWS, OPEN_ROWS = 10_000_000, 1_000_000
PERIOD = "2026-11"
KEYS = ("cost-centre", "day")
_SPAN = month(PERIOD)
_TWO_GB = 2 * 1024


# ---- ledgers


def ledger_of(root: Path) -> Ledger:
    return open_folder(root, writer="bench", now=lambda: ledgers.CLOSED_AT)


def many(rows: int, seed: int) -> Path:
    """Return a ledger whose cache holds ``rows``, a multiple of a million."""
    base = ledgers.made(FOLDER, OPEN_ROWS, repeated=0, seed=seed)
    synced(base)
    root = FOLDER / f"ledger-{rows}-0"
    done = root / "bench.json"
    wanted = {"rows": rows, "seed": seed, "layout": cache.layout()}
    if done.exists() and json.loads(done.read_text()) == wanted:
        return root
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(
        base, root, ignore=lambda _, names: [name for name in names if name in ("close", "closed")]
    )
    for state in (root / "cache" / cache.layout()).rglob("state.json"):
        known = msgspec.json.decode(state.read_bytes(), type=cache.Cached)
        for copy in range(1, rows // OPEN_ROWS):
            known.parts["charges"].append(_copied(state.parent, known, copy))
        known.rows *= rows // OPEN_ROWS
        state.write_bytes(msgspec.json.encode(known))
    done.write_text(json.dumps(wanted))
    return root


def _copied(folder: Path, known: cache.Cached, copy: int) -> str:
    """Write the journal's rows once more as other calls, some seconds later."""
    step = copy * 10_000_000
    number = int(known.name.rpartition("/")[2])
    names = ", ".join(
        text(str(folder / part)) for part in known.parts["charges"] if not part.startswith("copy")
    )
    others = f"""* REPLACE (
        md5(charge_id || {copy}) AS charge_id, row_id || '-{copy}' AS row_id,
        left(request_id, 12) || substr(md5(request_id || {copy}), 13) AS request_id,
        left(response_id, 12) || substr(md5(response_id || {copy}), 13) AS response_id,
        sequence_number + {step} AS sequence_number, seq + {step} AS seq,
        '00001' || printf('%05d%018d0000', {number}, sequence_number + {step}) AS rank
    )"""
    keys = f"* EXCLUDE ({', '.join(rule.quoted(name) for name in rule.KEY_COLUMNS)}), {rule.charge_keys(cache.number_of(known.name))}"
    file = f"copy{copy:02}.charges.parquet"
    columns = ", ".join(rule.quoted(name) for name in cache.KINDS["charges"])
    source = f"SELECT {others} FROM read_parquet([{names}], hive_partitioning = false)"
    with sql.database() as db:
        sql.to_parquet(db, f"SELECT {columns} FROM (SELECT {keys} FROM ({source}))", folder / file)
    return file


def synced(root: Path) -> None:
    with sql.database() as db, cache.opened(root / "cache", ledger_of(root), db):
        pass


def reopened(root: Path) -> None:
    """Forget that the month was closed."""
    shutil.rmtree(root / "close", ignore_errors=True)
    shutil.rmtree(root / "cache" / "closed", ignore_errors=True)


def books_of(root: Path) -> Any:
    table = ledgers.table()
    return opened(ledger_of(root), root / "cache", now=ledgers.CLOSED_AT, table=table, span=_SPAN)


# ---- what is measured, each in a process of its own


def grouped(root: Path) -> int:
    with books_of(root) as books:
        return sum(group.calls for group in groups(books, KEYS, _SPAN))


def read_first(root: Path) -> None:
    shutil.rmtree(root / "cache", ignore_errors=True)
    synced(root)


def closed(root: Path) -> dict[str, float]:
    """Close the month, with whatever stands in its way waived, and tell how long each step took."""
    steps: dict[str, float] = {}
    reopened(root)
    store = ledger_of(root)
    start = time.perf_counter()
    with books_of(root) as books:
        steps["open"] = time.perf_counter() - start
        found = draft(books, store, PERIOD, [], now=ledgers.CLOSED_AT).open
        waivers = [Waiver(id=each.id, who="bench", why="made on purpose") for each in found]
        ready = draft(books, store, PERIOD, waivers, now=ledgers.CLOSED_AT) if found else None
        ready = ready or draft(books, store, PERIOD, [], now=ledgers.CLOSED_AT)
        steps["look"] = time.perf_counter() - start - steps["open"]
        close(books, store, ready, waivers, now=ledgers.CLOSED_AT, writer="bench")
    steps["all"] = time.perf_counter() - start
    return steps


def least_grouping(books: Books) -> None:
    """The least that answers an open month when every row is known to be a call."""
    books.db.rows(
        "SELECT cost_centre, date_trunc('day', occurred_at), count(*), sum(total_cost), sum(prompt_tokens), "
        "sum(completion_tokens) FROM charges GROUP BY ALL"
    )


def least_writing(books: Books, root: Path) -> None:
    """The least a close does: every column of every row read, and written once."""
    names = ", ".join(rule.quoted(name) for name in rule.CHARGE_COLUMNS)
    file = root / "least.parquet"
    books.db.run(f"COPY (SELECT {names} FROM charges) TO {text(str(file))} ({sql.PARQUET})")
    file.unlink()


def least_reading(root: Path) -> None:
    """DuckDB's own parser over the same journal, into nothing."""
    counted = ", ".join(f"count({rule.quoted(name)})" for name in rule.CHARGE_COLUMNS)
    with sql.database() as db:
        db.rows(
            f"SELECT {counted} FROM read_json({text(str(root))} || '/journal/**/*.ndjson', format = 'newline_delimited', "
            f"hive_partitioning = false, columns = {cache.listed(rule.CHARGE_COLUMNS)})"
        )


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(run: Callable[[], object], rounds: int) -> float:
    taken: list[float] = []
    for number in range(rounds + (rounds > 1)):
        start = time.perf_counter()
        run()
        if number or rounds == 1:
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _closed_groups(root: Path, rounds: int) -> dict[str, float]:
    with sql.database() as db:
        file = text(
            str(max((root / "close" / PERIOD).glob("*.parquet"), key=lambda each: each.stat().st_size).parent)
        )
        floor = timed(
            lambda: db.rows(
                f"SELECT cost_centre, date_trunc('day', \"at\"), count(*), sum(total_cost) FROM read_parquet({file} || '/*.parquet', "
                "union_by_name = true, hive_partitioning = false) WHERE charge_id IS NOT NULL GROUP BY ALL"
            ),
            1,
        )
    before = cpu()
    ours = timed(lambda: grouped(root), rounds)
    return {"ours": ours, "every row": floor, "CPU": (cpu() - before) / (rounds + 1)}


def _open_groups(root: Path, rounds: int) -> dict[str, float]:
    reopened(root)
    with books_of(root) as books:
        floor = timed(lambda: least_grouping(books), rounds)
    before = cpu()
    ours = timed(lambda: grouped(root), rounds)
    return {"ours": ours, "without the rule": floor, "CPU": (cpu() - before) / (rounds + 1)}


def _close(root: Path, _rounds: int) -> dict[str, float]:
    with books_of(root) as books:
        floor = timed(lambda: least_writing(books, root), 1)
    before = cpu()
    steps = closed(root)
    used = cpu() - before
    return {
        "ours": steps["all"],
        "copy all columns": floor,
        "open": steps["open"],
        "look": steps["look"],
        "CPU": used,
    }


def _first(root: Path, _rounds: int) -> dict[str, float]:
    floor = timed(lambda: least_reading(root), 1)
    before = cpu()
    ours = timed(lambda: read_first(root), 1)
    return {"ours": ours, "parse only": floor, "CPU": cpu() - before}


_RUNS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "first": _first,
    "open": _open_groups,
    "close": _close,
    "closed": _closed_groups,
}


def in_a_process(what: str, root: Path, rounds: int) -> dict[str, float]:
    words = [sys.executable, __file__, "--child", what, "--root", str(root), "--rounds", str(rounds)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{what}: {done.stderr}")
    return json.loads(done.stdout)


def _child(what: str, root: Path, rounds: int) -> None:
    found = _RUNS[what](root, rounds)
    used = resource.getrusage(resource.RUSAGE_SELF)
    found["MB"] = used.ru_maxrss / 1024
    sys.stdout.write(json.dumps(found))


# ---- figures


def figures(options: Options, rows: int = ROWS) -> Iterator[Figure]:
    """Yield figure after figure; the first call makes the ledgers, which takes minutes."""
    rounds = max(options.rounds, 7)
    millions = f"{rows // 1_000_000},000,000"
    for name, repeated, told in (
        ("open rows", 0.0, "each a call"),
        ("open rows, repeated", 0.4, "40 % repeats, other sources, identities and conflicts"),
    ):
        if options.wants(name):
            root = ledgers.made(FOLDER, OPEN_ROWS, repeated=repeated, seed=options.seed)
            synced(root)
            run = in_a_process("open", root, rounds)
            yield _figure(
                name,
                f"1,000,000 open rows ({told}) by cost centre and day",
                run,
                Check("seconds", run["ours"], 1.5),
            )
    if options.wants("first reading"):
        root = ledgers.made(FOLDER, OPEN_ROWS, repeated=0, seed=options.seed)
        run = in_a_process("first", root, 1)
        yield _figure("first reading", "1,000,000 rows of a journal into the cache, once for each row", run)
    if options.wants("close") or options.wants("closed rows"):
        root = many(rows, options.seed)
        run = in_a_process("close", root, 1)
        told = f"close a month of {millions} calls, from open to manifest"
        yield _figure(
            "close", told, run, Check("seconds", run["ours"], 60), Check("MB resident", run["MB"], _TWO_GB)
        )
        run = in_a_process("closed", root, rounds)
        told = f"{millions} closed charges by cost centre and day"
        yield _figure("closed rows", told, run, Check("seconds", run["ours"], 0.5))


def _figure(name: str, what: str, run: dict[str, float], *checks: Check) -> Figure:
    others = {key: value for key, value in run.items() if key not in ("ours", "MB", "CPU")}
    floor = next(iter(others))
    return Figure(
        name=name,
        what=what,
        unit="s",
        ours=run["ours"],
        others=others,
        checks=checks,
        note=f"{ratio(run['ours'], others[floor]) or 0:.2f} x {floor}; {run['CPU']:.2f} s of CPU, {run['MB']:,.0f} MB resident at most",
    )


def main() -> int:
    from speed import report

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array and nothing else")
    parser.add_argument("--rows", type=int, default=ROWS, help="of the closed month; whole millions")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="names of figures, with commas")
    parser.add_argument("--child", choices=_RUNS, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        _child(args.child, args.root, args.rounds)
        return 0
    options = Options(rounds=args.rounds, only=tuple(filter(None, args.only.split(","))))
    return report(figures(options, args.rows), as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
