"""``chargeback report``: the bill of a ledger, by any fields of a charge."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from chargeback.cli.output import Format, print_groups
from chargeback.cli.rates import table_of
from chargeback.errors import UsageError
from chargeback.report.bill import keys_of
from chargeback.report.books import Books, opened
from chargeback.report.query import currency, groups
from chargeback.report.span import EVER, Span, month, span_of
from chargeback.wiring import is_folder, now, open_ledger, settings

LedgerOption = Annotated[
    str | None, typer.Option("--ledger", help="Folder or container of the ledger; else CHARGEBACK_LEDGER.")
]
RatesOption = Annotated[
    Path | None,
    typer.Option(
        "--rates",
        help="Table of markups, pools, budgets and names; else CHARGEBACK_RATES, else the newest one used.",
    ),
]


def report(
    ledger: LedgerOption = None,
    by: Annotated[
        str, typer.Option(help="Keys to group by, separated by commas; tag:NAME is one too.")
    ] = "subscription,app,deployment",
    start: Annotated[str | None, typer.Option("--from", help="First day or instant, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End, exclusive.")] = None,
    period: Annotated[str | None, typer.Option(help="A calendar month, such as 2026-11.")] = None,
    rates: RatesOption = None,
    style: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
    html: Annotated[Path | None, typer.Option(help="Also write the whole page to this file.")] = None,
    focus: Annotated[Path | None, typer.Option(help="Also export the charges as FOCUS 1.2 CSV.")] = None,
) -> None:
    """Print the bill: every call once, by the winner rule, at the price of its moment.

    Example: chargeback report --by cost-centre,day --period 2026-11 --html bill.html
    """
    keys = keys_of(by)
    span = chosen(start, end, period)
    with books_of(ledger, rates, span) as books:
        found = groups(books, keys, span)
        if not found and style is Format.table:
            raise UsageError(
                "the ledger holds no charges of that time; fill it with `chargeback replay ... --ledger FOLDER`"
            )
        print_groups(found, keys, currency(books, span), style)
        if html is not None:
            from chargeback.report.page import write  # noqa: PLC0415  only who wants a page pays for it

            write(html, books, span)
        if focus is not None:
            _export(focus, books, span)


def _export(file: Path, books: Books, span: Span) -> None:
    from chargeback.report.focus import export  # noqa: PLC0415  only who wants the export pays for it
    from chargeback.report.focus_check import check  # noqa: PLC0415  as above

    typer.echo(export(file, books, span).told, err=True)
    faults = check(file)
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(1)


def chosen(start: str | None, end: str | None, period: str | None) -> Span:
    """Read the span a user named. Raises UsageError for two at once."""
    if period is None:
        return span_of(start, end)
    if start or end:
        raise UsageError("--period is a whole month: leave out --from and --to, or leave out --period")
    return month(period)


@contextmanager
def books_of(ledger: str | None, rates: Path | None, span: Span | None = None) -> Generator[Books]:
    """Open the books of the ledger a user named, with the table that decides markups and pools."""
    store = open_ledger(ledger, settings())
    where = ledger or settings().ledger or ""
    with opened(store, cache_folder(where), now=now(), table=table_of(rates), span=span or EVER) as books:
        yield books


def cache_folder(where: str) -> Path:
    """Return where Parquet copies are kept: beside a folder's journals, in the user's cache for a container."""
    if is_folder(where):
        return Path(where) / "cache"
    import hashlib  # noqa: PLC0415

    return Path.home() / ".cache" / "chargeback" / hashlib.sha256(where.encode()).hexdigest()[:16]
