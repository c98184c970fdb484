"""``chargeback budgets``: spending against budgets, for people and for a scheduler."""

import csv
import sys
import uuid
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from chargeback.budgets import Standing
from chargeback.cli.ledgers import LedgerOption, ledger_of
from chargeback.cli.output import Format, data_console, money
from chargeback.cli.progress import QuietOption, remark
from chargeback.cli.report import RatesOption, books_of
from chargeback.errors import UsageError
from chargeback.journal.rows import BudgetReached
from chargeback.outbox import drain
from chargeback.ports import Entry, Ledger
from chargeback.report.page.content import budget_standings
from chargeback.report.query import currency
from chargeback.report.span import month
from chargeback.wiring import now, open_sender, settings


def budgets(
    period: Annotated[
        str | None, typer.Argument(metavar="MONTH", help="A calendar month; else the current one.")
    ] = None,
    ledger: LedgerOption = None,
    rates: RatesOption = None,
    style: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
    telemetry: Annotated[
        bool, typer.Option("--telemetry", help="Send a `Chargeback Budget` event at 80 and 100 %, once each.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Compare spending with budgets. Exit code 1 when one is exceeded, so that a scheduler can act.

    Examples:
      chargeback budgets 2026-11
      chargeback budgets --rates rates.yaml --telemetry
    """
    name = period or f"{now():%Y-%m}"
    store = ledger_of(ledger)
    with books_of(ledger, rates, month(name), quiet=quiet) as books:
        found = [each for each in budget_standings(books, month(name), at_least=name) if each.month == name]
        unit = currency(books, month(name))
    if not found and style is Format.table:
        raise UsageError(
            f"the rate table has no budget for {name}; add `budgets`, or name its table with --rates"
        )
    _print(found, unit, style)
    if telemetry:
        _tell(store, found, unit, quiet=quiet)
    if any(each.exceeded for each in found):
        raise typer.Exit(1)


def _print(found: list[Standing], unit: str, style: Format) -> None:
    rows = [
        {
            "cost_centre": each.cost_centre,
            "month": each.month,
            "budget": f"{each.amount:f}",
            "spent": f"{each.spent:f}",
            "percent": f"{each.percent:.1f}",
            "currency": unit,
        }
        for each in found
    ]
    if style is Format.json:
        for row in rows:
            sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
        return
    if style is Format.csv:
        out = csv.DictWriter(sys.stdout, ["cost_centre", "month", "budget", "spent", "percent", "currency"])
        out.writeheader()
        out.writerows(rows)
        return
    table = Table("cost centre", "month", box=None, pad_edge=False, header_style="bold")
    for name in (f"budget {unit}", f"spent {unit}", "%"):
        table.add_column(name, justify="right")
    for each in found:
        style_ = "bold red" if each.exceeded else ""
        table.add_row(
            each.cost_centre,
            each.month,
            money(each.amount),
            money(each.spent),
            f"{each.percent:.1f}",
            style=style_,
        )
    data_console().print(table)


def _tell(store: Ledger, found: list[Standing], unit: str, *, quiet: bool) -> None:
    """Note every threshold once in a journal of its own, and let the outbox deliver it."""
    sender = open_sender(settings())
    if sender is None:
        raise UsageError("--telemetry: set APPLICATIONINSIGHTS_CONNECTION_STRING")
    for name in {each.month for each in found}:
        journal = store.journal(f"budget/{name}")
        after = journal.refresh()
        told = {row.row_id for _, row in journal.read() if isinstance(row, BudgetReached)}
        new = [
            row
            for each in found
            if each.month == name
            for row in reached(each, unit)
            if row.row_id not in told
        ]
        first = 0 if after is None else after.last_seq + 1
        entries = [Entry(position=first + n, enqueued_at=None, rows=(row,)) for n, row in enumerate(new)]
        if entries:
            journal.append(entries, after=after, batch_id=uuid.uuid4().hex)
        done = drain(journal, store, sender, may_go_on=lambda: True)
        remark(f"telemetry: {done.confirmed} events confirmed, {done.refused} refused", quiet=quiet)


def reached(standing: Standing, unit: str) -> list[BudgetReached]:
    """Return a row for each threshold that is reached; its id is the same however often it is asked."""
    return [
        BudgetReached(
            row_id=f"budget/{standing.month}/{standing.cost_centre}/{percent}",
            cost_centre=standing.cost_centre,
            period=standing.month,
            percent=percent,
            spent=standing.spent,
            amount=standing.amount,
            currency=unit,
            made_at=now(),
        )
        for percent in standing.reached
    ]
