"""1,000,000 calls of 37 tokens at 0.15 a million cost exactly 5.55, wherever it is written.

Rounded to six decimals a call they would cost 6.00, and rounded up to a thousand tokens 150.00.
"""

import csv
from datetime import timedelta
from decimal import Decimal

import pytest

from chargeback.closing.close import close, draft
from chargeback.journal.rows import encode
from chargeback.ports import Position
from chargeback.report import cache, sql
from chargeback.report.bill import total
from chargeback.report.columns import quoted
from chargeback.report.focus import export
from chargeback.report.focus_check import check
from chargeback.report.query import groups
from chargeback.report.rule import KEY_COLUMNS, charge_keys
from chargeback.report.span import month
from chargeback.report.statements import write
from tests.money.books import DECEMBER, NOON, a_charge, books_at, ledger_at, table

CALLS = 1_000_000
NOVEMBER = month("2026-11")
EXACT = Decimal("5.55")
CHARGE = a_charge(at=NOON - timedelta(days=15), prompt=37, completion=0)


class Read:
    """A journal whose rows are in the cache already: one charge of the pipeline, under a million ids."""

    name = "source/million"
    end = Position("one", CALLS)

    def lines(self, after=None, until=None):
        assert after == self.end
        return iter(())

    def committed(self):
        return self.end


def multiplied(folder):
    known = cache.Cached(name=Read.name, position=Read.end, rows=CALLS, parts={"charges": ["many.parquet"]})
    files = folder / "cache" / cache.layout() / cache._folder(Read.name)
    files.mkdir(parents=True)
    with sql.database() as db:
        (files / "one.ndjson").write_bytes(cache.numbered(encode(CHARGE), 1))
        cache.to_parquet(db, files / "one.ndjson", "charges", Read.name, files / "one.parquet")
        one = f"read_parquet('{files}/one.parquet', hive_partitioning = false)"
        ids = "printf('%032x', n) AS charge_id, 'million/' || n AS row_id, n + 1 AS seq"
        rows = f"SELECT one.* REPLACE ({ids}) FROM {one} AS one, (SELECT unnest(range({CALLS})) AS n)"
        keys = f"* EXCLUDE ({', '.join(map(quoted, KEY_COLUMNS))}), {charge_keys(1)}"
        columns = ", ".join(map(quoted, cache.KINDS["charges"]))
        sql.to_parquet(db, f"SELECT {columns} FROM (SELECT {keys} FROM ({rows}))", files / "many.parquet")
    cache._save(files / "state.json", known)


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    folder = tmp_path_factory.mktemp("million")
    multiplied(folder)
    ledger = ledger_at(folder)
    ledger.journals = lambda: [Read.name]
    ledger.journal = lambda name: Read()
    rates = table()
    with books_at(ledger, folder, rates=rates, span=NOVEMBER) as books:
        found = groups(books, ("cost-centre",), NOVEMBER)
        statements = write(folder / "open", books, "2026-11", NOVEMBER)
        ready = draft(books, ledger, "2026-11", [], now=DECEMBER)
        manifest = close(books, ledger, ready, [], now=DECEMBER, writer="test")
    with books_at(ledger, folder, rates=rates, span=NOVEMBER) as books:
        return {
            "folder": folder,
            "report": found,
            "statements": statements,
            "manifest": manifest,
            "exported": export(folder / "focus.csv", books, NOVEMBER),
            "after": groups(books, ("cost-centre", "day"), NOVEMBER),
            "closed statements": write(folder / "closed", books, "2026-11", NOVEMBER),
        }


def test_one_call_costs_37_times_15_cents_by_a_million():
    assert CHARGE.total_cost == Decimal("0.00000555")


def test_the_report_says_5_55_before_and_after_the_close(million):
    for each in ("report", "after"):
        assert (total(million[each]).calls, total(million[each]).billed) == (CALLS, EXACT)


def test_the_statements_say_5_55_before_and_after_the_close(million):
    for each in ("statements", "closed statements"):
        [statement] = million[each]
        assert (statement.billed, statement.due, statement.residual) == (EXACT, EXACT, 0)


def test_the_close_says_5_55_with_one_row_a_call(million):
    manifest = million["manifest"]

    assert (manifest.calls, manifest.billed, manifest.invoiced, manifest.residual) == (CALLS, EXACT, EXACT, 0)
    assert sum(file.rows for file in manifest.files) == CALLS


def test_focus_says_5_55(million):
    file = million["folder"] / "focus.csv"

    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert sum(Decimal(row["BilledCost"]) for row in rows) == EXACT
    assert sum(Decimal(row["ConsumedQuantity"]) for row in rows) == 37 * CALLS
    assert million["exported"].billed == EXACT
    assert check(file) == []
