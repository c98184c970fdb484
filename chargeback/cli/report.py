"""``chargeback report``: the bill of a ledger, by any fields of a charge."""

from typing import Annotated

import typer

from chargeback.cli.output import Format, print_groups
from chargeback.errors import UsageError
from chargeback.report import ledger_calls
from chargeback.report.bill import bill, currencies, keys_of
from chargeback.wiring import open_ledger, settings


def report(
    ledger: Annotated[str | None, typer.Option(help="Folder of the ledger; else CHARGEBACK_LEDGER.")] = None,
    by: Annotated[
        str, typer.Option(help="Keys to group by, separated by commas.")
    ] = "subscription,app,deployment",
    style: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
) -> None:
    """Print the bill: every call once, by the winner rule, at the price of its moment."""
    keys = keys_of(by)
    calls = list(ledger_calls(open_ledger(ledger, settings())))
    if not calls and style is Format.table:
        raise UsageError(
            "the ledger holds no charges yet; fill it with `chargeback replay ... --ledger FOLDER`"
        )
    names = currencies(call.charge for call in calls)
    if len(names) > 1:
        raise UsageError(f"the ledger holds charges in {', '.join(sorted(names))}; they cannot be added up")
    print_groups(bill(calls, keys), keys, next(iter(names), ""), style)
