"""What is kept of journals: new rows only, and never a row that cannot be read."""

import pytest

from chargeback.errors import StopError
from chargeback.report import cache
from chargeback.report.query import groups
from chargeback.report.span import EVER
from tests.money.books import a_charge, append, books_at, ledger_at


def calls(ledger, folder):
    with books_at(ledger, folder) as books:
        return sum(group.calls for group in groups(books, ("model",), EVER))


def test_only_new_rows_are_read(tmp_path):
    ledger = ledger_at(tmp_path)
    append(ledger, [a_charge(1), a_charge(2)])
    assert calls(ledger, tmp_path) == 2

    before = set((tmp_path / "cache").rglob("*.parquet"))
    append(ledger, [a_charge(2), a_charge(3)])
    assert calls(ledger, tmp_path) == 3
    assert before < set((tmp_path / "cache").rglob("*.parquet"))


def test_a_row_that_was_damaged_stops_the_report(tmp_path):
    append(ledger_at(tmp_path), [a_charge(1), a_charge(2)])
    good, bad = b'"prompt_tokens":1000', b'"prompt_tokens":1x00'
    [segment] = [file for file in (tmp_path / "ledger").rglob("*.ndjson") if good in file.read_bytes()]
    segment.write_bytes(segment.read_bytes().replace(good, bad, 1))

    with pytest.raises(StopError, match="a committed row cannot be read"):
        calls(ledger_at(tmp_path), tmp_path)


def test_a_row_of_a_kind_nobody_knows_stops_the_report():
    with pytest.raises(StopError, match="a committed row cannot be read"):
        cache.kind_of(b'{"row":"tomorrow","row_id":"x"}', "one", 5)
