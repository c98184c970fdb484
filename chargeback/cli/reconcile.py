"""``chargeback reconcile``: the ledger against what the gateway, the platform and the invoice say."""

import csv
import sys
from datetime import UTC, date
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from chargeback.cli.ledgers import LedgerOption
from chargeback.cli.output import Format, data_console
from chargeback.cli.progress import QuietOption, remark
from chargeback.cli.report import RatesOption, books_of, chosen
from chargeback.errors import UsageError
from chargeback.reconcile import ours as our_side
from chargeback.reconcile.compare import Difference, compare
from chargeback.reconcile.sources import SOURCES, rows_of
from chargeback.report.span import Span
from chargeback.wiring import now


def reconcile(
    gateway_log: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Saved rows of ApiManagementGatewayLlmLog (JSON, JSON lines, CSV)."
        ),
    ] = None,
    monitor: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Saved Azure Monitor metrics of the accounts (JSON, CSV)."),
    ] = None,
    invoice: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Cost Management export, actual or FOCUS (CSV, JSON)."),
    ] = None,
    ledger: LedgerOption = None,
    rates: RatesOption = None,
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="First day, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="End, exclusive.")] = None,
    period: Annotated[
        str | None, typer.Option(metavar="MONTH", help="A calendar month, such as 2026-11.")
    ] = None,
    tolerance: Annotated[
        str, typer.Option(metavar="SHARE", help="Share of the tokens that may differ.")
    ] = "0.001",
    style: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Compare tokens, then money, per day, deployment and meter. Exit code 1 when something does not agree.

    Examples:
      chargeback reconcile --period 2026-11 --gateway-log llm-log.json
      chargeback reconcile --period 2026-11 --monitor metrics.json --invoice export.csv --format csv
    """
    given = {"gateway-log": gateway_log, "monitor": monitor, "invoice": invoice}
    if not any(given.values()):
        raise UsageError("nothing to compare with: give --gateway-log, --monitor or --invoice")
    span = chosen(start, end, period)
    found: list[tuple[str, Difference]] = []
    with books_of(ledger, rates, span, quiet=quiet) as books:
        known = our_side.known(books, span)
        for source, files in given.items():
            theirs = [part for file in files or () for part in SOURCES[source](rows_of(file))]
            if files and not theirs:
                raise UsageError(
                    f"{', '.join(map(str, files))}: no row could be read as {source}; are the columns there?"
                )
            theirs = [part for part in theirs if _within(part[0].day, span)]
            mine = our_side.meters(books, span) if source == "invoice" else our_side.tokens(books, span)
            found += [
                (source, each)
                for each in compare(
                    mine, theirs, known, tolerance=_share(tolerance), last_day=now().astimezone(UTC).date()
                )
            ]
    _PRINTERS[style](found)
    off = sum(not each.agrees for _, each in found)
    remark(f"{len(found) - off} of {len(found)} cells agree", quiet=quiet)
    if off:
        raise typer.Exit(1)


def _within(day: date, span: Span) -> bool:
    return (span.start is None or day >= span.start.date()) and (span.end is None or day < span.end.date())


def _share(text: str) -> Decimal:
    try:
        share = Decimal(text)
    except ArithmeticError:
        raise UsageError(f"--tolerance {text!r}: expected a share such as 0.001") from None
    if not 0 <= share < 1:
        raise UsageError(f"--tolerance {text!r}: expected a share from 0 to below 1")
    return share


_COLUMNS: tuple[str, ...] = (
    "source",
    "day",
    "deployment",
    "meter",
    "ours",
    "theirs",
    "difference",
    "money",
    "agrees",
    "causes",
)


def _cells(source: str, each: Difference) -> dict[str, str]:
    return {
        "source": source,
        "day": each.cell.day.isoformat(),
        "deployment": each.cell.deployment,
        "meter": each.cell.meter,
        "ours": "" if each.ours is None else f"{each.ours.quantity:f}",
        "theirs": "" if each.theirs is None else f"{each.theirs.quantity:f}",
        "difference": f"{each.tokens:f}",
        "money": "" if each.money is None else f"{each.money:f}",
        "agrees": "yes" if each.agrees else "no",
        "causes": "; ".join(each.causes),
    }


def _as_json(found: list[tuple[str, Difference]]) -> None:
    for source, each in found:
        sys.stdout.write(msgspec.json.encode(_cells(source, each)).decode() + "\n")


def _as_csv(found: list[tuple[str, Difference]]) -> None:
    out = csv.writer(sys.stdout)
    out.writerow(_COLUMNS)
    out.writerows(_cells(source, each).values() for source, each in found)


def _as_table(found: list[tuple[str, Difference]]) -> None:
    """Show what does not agree, tokens before money; what agrees in both is only counted."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        right = name in ("ours", "theirs", "difference", "money")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for source, each in found:
        if not each.agrees or each.causes:
            table.add_row(*_cells(source, each).values())
    if table.row_count:
        data_console().print(table)


_PRINTERS = {Format.table: _as_table, Format.json: _as_json, Format.csv: _as_csv}
