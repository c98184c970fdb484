"""``chargeback close``: a month becomes final."""

import csv
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from chargeback.cli.ledgers import LedgerOption, ledger_of
from chargeback.cli.output import money
from chargeback.cli.progress import QuietOption, remark, watching
from chargeback.cli.rates import read_text, table_of
from chargeback.cli.report import RatesOption, cache_folder
from chargeback.closing.close import Draft
from chargeback.closing.close import close as close_month
from chargeback.closing.close import draft as draft_of
from chargeback.errors import UsageError
from chargeback.report import unbilled
from chargeback.report.books import opened
from chargeback.report.closed import Manifest, Waiver
from chargeback.report.span import month
from chargeback.wiring import now, settings, writer


def close(
    period: Annotated[
        str, typer.Argument(metavar="MONTH", help="A calendar month that is over, such as 2026-11.")
    ],
    ledger: LedgerOption = None,
    rates: RatesOption = None,
    waive: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV with id, who, why: obstacles somebody answers for."),
    ] = None,
    listed: Annotated[
        Path | None,
        typer.Option(
            "--list", metavar="FILE", help="Write the obstacles as CSV to this file, ready to be waived."
        ),
    ] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Only look; close nothing.")] = False,
    grace_days: Annotated[
        int, typer.Option(min=0, max=60, metavar="DAYS", help="Days after the month's end.")
    ] = 3,
    quiet: QuietOption = False,
) -> None:
    """Close a month: freeze journals, prices and payers, and write them as Parquet with a manifest.

    Exit code 1, and nothing written, while anything stands in the way that nobody waived.

    Examples:
      chargeback close 2026-11 --draft --list obstacles.csv
      chargeback close 2026-11 --waive waivers.csv
    """
    waivers = _waivers(waive) if waive else []
    store = ledger_of(ledger)
    where = ledger or settings().ledger or ""
    table = table_of(rates)
    with (
        watching(quiet=quiet) as watch,
        opened(store, cache_folder(where), now=now(), table=table, span=month(period), watch=watch) as books,
    ):
        ready = draft_of(books, store, period, waivers, now=now(), grace=timedelta(days=grace_days))
        if listed is not None:
            _list(listed, ready)
        if without_usage := unbilled.count(books, ready.span):
            remark(
                f"warning: {without_usage:,} calls of {period} are known only by who made them; no usage came, nothing is "
                "billed for them (`chargeback report --unbilled FILE` lists them). What comes later is a correction",
                quiet=quiet,
            )
        if ready.open or draft:
            _tell(ready)
            raise typer.Exit(1 if ready.open else 0)
        _tell_closed(close_month(books, store, ready, waivers, now=now(), writer=writer()))


def _waivers(path: Path) -> list[Waiver]:
    rows = list(csv.DictReader(read_text(path).splitlines()))
    found: list[Waiver] = []
    for number, row in enumerate(rows, 2):
        cells = {name: (row.get(name) or "").strip() for name in ("id", "who", "why")}
        if not all(cells.values()):
            missing = ", ".join(name for name, value in cells.items() if not value)
            raise UsageError(
                f"{path}:{number}: found no {missing}, expected the columns id, who and why, all filled"
            )
        found.append(Waiver(**cells))
    return found


def _list(path: Path, ready: Draft) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(("id", "kind", "told", "who", "why"))
        rows.writerows((each.id, each.kind, each.told, "", "") for each in ready.open)


_SHOWN = 20


def _tell(ready: Draft) -> None:
    if not ready.open:
        typer.echo(f"{ready.period}: draft; nothing stands in the way")
        return
    typer.echo(f"{ready.period}: draft; {len(ready.open)} obstacles:", err=True)
    for each in ready.open[:_SHOWN]:
        typer.echo(f"  {each.kind}: {each.id}: {each.told}", err=True)
    if len(ready.open) > _SHOWN:
        typer.echo(f"  and {len(ready.open) - _SHOWN} more; all of them with --list FILE", err=True)


def _tell_closed(manifest: Manifest) -> None:
    typer.echo(
        f"{manifest.period}: closed; {manifest.calls:,} calls, {manifest.corrections:,} corrections, "
        f"{len(manifest.waivers)} waived, billed {money(manifest.billed)} {manifest.currency}"
    )
    for each in manifest.sums:
        typer.echo(
            f"  {each.cost_centre}: {money(each.billed)}, invoice {each.invoiced:,}, residual {money(each.residual)}"
        )
