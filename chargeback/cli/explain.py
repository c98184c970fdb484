"""``chargeback explain``: one charge, taken apart."""

from typing import Annotated

import typer

from chargeback.cli.ledgers import LedgerOption, ledger_of
from chargeback.cli.progress import QuietOption
from chargeback.cli.report import RatesOption, books_of
from chargeback.report.explain import explain as explain_charge


def explain(
    charge_id: Annotated[
        str, typer.Argument(metavar="CHARGE_ID", help="Charge id (TokenInfoId), its beginning, or a row id.")
    ],
    ledger: LedgerOption = None,
    rates: RatesOption = None,
    quiet: QuietOption = False,
) -> None:
    """Tell how a charge came about, meter by meter; for an unpriced one, which rates were considered and why none applied.

    Examples:
      chargeback explain 3f2b8c0d
      chargeback explain 3f2b8c0d --ledger ledger --rates rates.yaml
    """
    store = ledger_of(ledger)
    with books_of(ledger, rates, quiet=quiet) as books:
        for line in explain_charge(books, store, charge_id):
            typer.echo(line)
