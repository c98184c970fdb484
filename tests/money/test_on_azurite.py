"""Reports, statements and a close of a ledger in blob storage say what they say of the same ledger in a folder."""

import json
from decimal import Decimal

import pytest

from tests.money.books import DECEMBER, append, books_at, ledger_at, pass_time, table
from tests.money.test_month import CALLS, charge, rates_text
from tests.support import azurite
from tests.support.command_line import called as chargeback


@pytest.fixture(scope="module")
def storage():
    with azurite.running() as connection_string:
        yield {"AzureWebJobsStorage": connection_string, "CHARGEBACK_LEDGER": "books-of-a-month"}


@pytest.fixture(scope="module")
def filled(storage, tmp_path_factory):
    """The calls of a month in a container, and in a folder; the settings of commands that read the container."""
    from chargeback.journal.blob import by_connection_string
    from chargeback.journal.blob import ledger as blob_ledger

    folder = tmp_path_factory.mktemp("both")
    container = by_connection_string(storage["AzureWebJobsStorage"], storage["CHARGEBACK_LEDGER"])
    blobs = blob_ledger(container, writer="test", now=lambda: DECEMBER)
    rates = table(rates_text())
    for each in (ledger_at(folder), blobs):
        append(each, [charge(call, rates) for call in CALLS])
        pass_time(each, DECEMBER)
    (folder / "rates.yaml").write_text(rates_text())
    return folder, {**storage, "HOME": str(folder), "CHARGEBACK_RATES": str(folder / "rates.yaml")}


def test_report_statements_and_close_of_a_container(filled, monkeypatch):
    from chargeback.cli import close as command
    from chargeback.cli import report as reporting
    from chargeback.report.query import groups
    from chargeback.report.span import month

    folder, env = filled
    for module in (command, reporting):
        monkeypatch.setattr(module, "now", lambda: DECEMBER)
    with books_at(ledger_at(folder), folder, rates=table(rates_text()), span=month("2026-11")) as books:
        wanted = {group.keys[0]: group.billed for group in groups(books, ("cost-centre",), month("2026-11"))}

    def billed():
        done = chargeback("report", "--by", "cost-centre", "--period", "2026-11", "--format", "json", **env)
        assert done.returncode == 0, done.stderr
        lines = map(json.loads, done.stdout.splitlines())
        return {line["cost-centre"]: Decimal(line["billed"]) for line in lines}

    assert billed() == wanted
    closed = chargeback("close", "2026-11", **env)
    assert (closed.returncode, "2026-11: closed;" in closed.stdout) == (0, True), closed.stderr
    assert billed() == wanted
    done = chargeback("statements", "2026-11", "--out", folder / "statements", **env)
    assert done.returncode == 0, done.stderr
    assert f"together exactly {sum(wanted.values()):,}".rstrip("0") in done.stderr
