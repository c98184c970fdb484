"""``chargeback statements``: what each cost centre gets."""

from pathlib import Path
from typing import Annotated

import typer

from chargeback.cli.ledgers import LedgerOption
from chargeback.cli.output import money
from chargeback.cli.progress import QuietOption, remark
from chargeback.cli.report import RatesOption, books_of
from chargeback.report.query import currency, exact_sum
from chargeback.report.span import month
from chargeback.report.statements import write


def statements(
    period: Annotated[str, typer.Argument(metavar="MONTH", help="A calendar month, such as 2026-11.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the statements.")],
    ledger: LedgerOption = None,
    rates: RatesOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write one CSV and one page for each cost centre, only its own lines, proved to add up to the whole.

    Examples:
      chargeback statements 2026-11 --out statements/
      chargeback statements 2026-11 --out statements/ --ledger ledger --rates rates.yaml
    """
    span = month(period)
    with books_of(ledger, rates, span, quiet=quiet) as books:
        made = write(out, books, period, span)
        unit = currency(books, span)
    for each in made:
        typer.echo(f"{each.cost_centre}: {money(each.due)} {unit}, {len(each.lines)} lines")
    whole = exact_sum(*(each.billed for each in made))
    remark(f"{len(made)} statements in {out}, together exactly {money(whole)} {unit}", quiet=quiet)
