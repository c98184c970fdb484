"""``chargeback report``: the bill of a ledger, by any fields of a charge."""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from chargeback.cli.ledgers import LedgerOption, ledger_of
from chargeback.cli.output import Format, print_groups
from chargeback.cli.progress import QuietOption, remark, watching
from chargeback.cli.rates import table_of
from chargeback.errors import UsageError
from chargeback.report.bill import keys_of
from chargeback.report.books import Books, opened
from chargeback.report.query import currency, groups
from chargeback.report.span import EVER, Span, month, span_of
from chargeback.wiring import CONTAINER, container_of, is_folder, now, settings

RatesOption = Annotated[
    Path | None,
    typer.Option(
        "--rates",
        metavar="FILE",
        help="Table of markups, pools, budgets and names; else CHARGEBACK_RATES, else the newest one used.",
    ),
]


def report(
    ledger: LedgerOption = None,
    by: Annotated[
        str, typer.Option(metavar="KEYS", help="Keys to group by, separated by commas; tag:NAME is one too.")
    ] = "subscription,app,deployment",
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="First day or instant, UTC.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="End, exclusive.")] = None,
    period: Annotated[
        str | None, typer.Option(metavar="MONTH", help="A calendar month, such as 2026-11.")
    ] = None,
    rates: RatesOption = None,
    style: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the whole page to this file.")
    ] = None,
    focus: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also export the charges as FOCUS 1.2 CSV.")
    ] = None,
    unbilled: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also list calls whose usage never came to this CSV file."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Print the bill: every call once, by the winner rule, at the price of its moment.

    Examples:
      chargeback report --by cost-centre,day --period 2026-11
      chargeback report --ledger ledger --by model,tag:project --format csv > bill.csv
      chargeback report --period 2026-11 --html bill.html --focus focus.csv
    """
    keys = keys_of(by)
    span = chosen(start, end, period)
    with books_of(ledger, rates, span, quiet=quiet) as books:
        found = groups(books, keys, span)
        if not found and style is Format.table:
            raise UsageError(
                "the ledger holds no charges of that time; fill it with `chargeback replay ... --ledger FOLDER`"
            )
        print_groups(found, keys, currency(books, span), style)
        _tell_unbilled(books, span, unbilled, quiet=quiet)
        if html is not None:
            from chargeback.report.page import write  # noqa: PLC0415  only who wants a page pays for it

            write(html, books, span)
        if focus is not None:
            _export(focus, books, span, quiet=quiet)


def _tell_unbilled(books: Books, span: Span, file: Path | None, *, quiet: bool) -> None:
    from chargeback.report import unbilled  # noqa: PLC0415  its name is the option's

    found = unbilled.count(books, span) if file is None else unbilled.write(file, books, span)
    if file is not None:
        remark(f"{file}: {found:,} calls without usage", quiet=quiet)
    elif found:
        remark(
            f"open question: {found:,} calls are known only by who made them, no usage came and nothing is billed; "
            "list them with --unbilled FILE",
            quiet=quiet,
        )


def _export(file: Path, books: Books, span: Span, *, quiet: bool) -> None:
    from chargeback.report.focus import export  # noqa: PLC0415  only who wants the export pays for it
    from chargeback.report.focus_check import check  # noqa: PLC0415  only who wants the export pays for it

    remark(export(file, books, span).told, quiet=quiet)
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
def books_of(
    ledger: str | None, rates: Path | None, span: Span | None = None, *, quiet: bool
) -> Generator[Books]:
    """Open the books of the ledger a user named, with the table that decides markups and pools."""
    store = ledger_of(ledger)
    where = ledger or settings().ledger or ""
    table = table_of(rates)
    with (
        watching(quiet=quiet) as watch,
        opened(store, cache_folder(where), now=now(), table=table, span=span or EVER, watch=watch) as books,
    ):
        yield books


def cache_folder(where: str) -> Path:
    """Return where Parquet copies are kept: beside a folder's journals, in the user's cache for a container."""
    if is_folder(where):
        return Path(where) / "cache"
    # Two accounts may have containers of one name. The host is no secret; a URL may hold a signature.
    name = where.removeprefix(CONTAINER)
    with container_of(settings().storage_access, name) as container:
        url = f"{container.primary_hostname}/{name}"
    return Path.home() / ".cache" / "chargeback" / hashlib.sha256(url.encode()).hexdigest()[:16]
