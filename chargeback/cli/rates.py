"""``chargeback rates``: check a rate table before it bills anybody, compare it with Azure's list, apply it."""

import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from chargeback.cli.ledgers import LedgerOption, ledger_of
from chargeback.cli.progress import QuietOption, remark, watching
from chargeback.errors import RetryError, UsageError
from chargeback.outbox import Sender
from chargeback.ports import Ledger
from chargeback.rates.comparison import Comparison, compare
from chargeback.rates.faults import Fault
from chargeback.rates.load import faults, faults_against, parse
from chargeback.rates.retail import items, next_page
from chargeback.rates.table import RateTable
from chargeback.wiring import now, open_sender, rates_of, settings

app = typer.Typer(help="Work on rate tables.", no_args_is_help=True)

LIST = "https://prices.azure.com/api/retail/prices"
FILTER = "serviceName eq 'Foundry Models'"
_TRIES = 6


@app.callback()
def rates() -> None:
    """Work on rate tables."""


@app.command("check")
def check(
    table: Annotated[Path, typer.Argument(metavar="FILE", help="The rate table, a YAML file.")],
    ledger: Annotated[
        str | None,
        typer.Option(metavar="LEDGER", help="Ledger whose closed months the table must not rewrite."),
    ] = None,
) -> None:
    """Check a rate table and report all faults at once. Exit code 1 if there is an error.

    Examples:
      chargeback rates check samples/rates.yaml
      chargeback rates check rates.yaml --ledger ledger
    """
    text = read_text(table)
    found = [*faults(text, source=str(table), today=now().date()), *_against_closed(text, ledger)]
    for fault in found:
        typer.echo(fault.told(str(table)))
    errors = sum(fault.severity == "error" for fault in found)
    if errors:
        typer.echo(f"{table}: {errors} errors, {len(found) - errors} warnings", err=True)
        raise typer.Exit(1)
    typer.echo(f"{table}: good, version {parse(text, source=str(table)).version}, {len(found)} warnings")


def _against_closed(text: str, ledger: str | None) -> list[Fault]:
    if ledger is None:
        return []
    from chargeback.report.books import stored_table  # noqa: PLC0415  only with a ledger
    from chargeback.report.closed import manifests  # noqa: PLC0415  only with a ledger

    store = ledger_of(ledger)
    found: list[Fault] = []
    for manifest in manifests(store):
        old = stored_table(store, manifest.rate_table_version) if manifest.rate_table_version else None
        if old is not None and manifest.span.end is not None:
            found += faults_against(text, old.rows, manifest.span.end)
    return list(dict.fromkeys(found))


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of the rate table, for editors.

    Examples:
      chargeback rates schema > rates.schema.json
    """
    from chargeback.rates.json_schema import json_schema  # noqa: PLC0415 - one subcommand needs it

    typer.echo(json_schema(), nl=False)


@app.command("import")
def import_(
    table: Annotated[Path, typer.Argument(metavar="FILE", help="The rate table to compare with.")],
    pages: Annotated[
        list[Path] | None,
        typer.Option("--page", metavar="FILE", help="Saved page of the Retail Prices API; again for more."),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Ask prices.azure.com.")] = False,
    query: Annotated[
        str, typer.Option("--filter", metavar="FILTER", help="OData filter of the live list.")
    ] = FILTER,
    show_unmapped: Annotated[
        int, typer.Option(min=0, metavar="COUNT", help="Lines to show of what could not be mapped.")
    ] = 20,
) -> None:
    """Compare a rate table with Azure's price list: what changed, what could not be mapped. Changes nothing.

    Meters are matched by the azure_meter_id or azure_meter of a rate. Exit code 1 when a price differs.

    Examples:
      chargeback rates import rates.yaml --live
      chargeback rates import rates.yaml --page page1.json --page page2.json
    """
    ours = parse(read_text(table), source=str(table))
    if bool(pages) is live:
        raise UsageError("give either --page FILE (saved pages) or --live")
    source = "prices.azure.com" if live else ", ".join(str(page) for page in pages or ())
    bodies = _live(query, ours.currency) if live else (_bytes(page) for page in pages or ())
    found = list(items(bodies, source))
    strange = sorted({item.currency for item in found} - {ours.currency, ""})
    if strange:
        raise UsageError(f"{source}: prices in {', '.join(strange)}; the table is in {ours.currency}")
    result = compare(ours, found)
    _tell(result, show_unmapped)
    if result.changes:
        raise typer.Exit(1)


def _tell(result: Comparison, shown: int) -> None:
    typer.echo(
        f"{result.same} prices are the same, {len(result.changes)} differ, {len(result.missing)} are not on the "
        f"list, {len(result.unmapped)} items of the list are mapped by no rate"
    )
    for change in result.changes:
        typer.echo(f"changed: {change.told}")
    for line in result.missing:
        typer.echo(f"missing: {line}")
    for item, meaning in result.unmapped[:shown]:
        place = item.region or "all regions"
        typer.echo(
            f"unmapped: {item.meter!r} ({item.meter_id}), {place}, {item.price:f} per {item.unit}: {meaning}"
        )
    if len(result.unmapped) > shown:
        typer.echo(f"unmapped: {len(result.unmapped) - shown} more (--show-unmapped)")


def _live(query: str, currency: str) -> Iterator[bytes]:
    words = {"api-version": "2023-01-01-preview", "currencyCode": f"'{currency}'", "$filter": query}
    address: str | None = f"{LIST}?{urllib.parse.urlencode(words)}"
    while address:
        if not address.startswith(f"{LIST}?"):
            raise UsageError(f"prices.azure.com named another host for the next page: {address[:80]!r}")
        page = _get(address)
        yield page
        address = next_page(page)


def _get(address: str) -> bytes:
    """Ask once more after 429 and 5xx, as long as the service says or twice as long each time."""
    wait = 2.0
    for _ in range(_TRIES):
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - _live only passes https
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code != 429 and error.code < 500:
                raise UsageError(f"prices.azure.com answered {error.code}; is the filter right?") from None
            after = error.headers.get("Retry-After", "")
            time.sleep(min(float(after), 120.0) if after.isdigit() else wait)
        except (urllib.error.URLError, TimeoutError):
            time.sleep(wait)
        wait *= 2
    raise RetryError("prices.azure.com cannot be reached; save the pages elsewhere and give them with --page")


@app.command("apply")
def apply(
    table: Annotated[Path, typer.Option(metavar="FILE", help="The rate table to rate by.")],
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="First day or instant, UTC.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="End, exclusive.")],
    ledger: Annotated[
        str | None,
        typer.Option(metavar="LEDGER", help="Folder or container of the ledger; else CHARGEBACK_LEDGER."),
    ] = None,
    telemetry: Annotated[
        bool, typer.Option("--telemetry", help="Send the changes as `Chargeback Adjustment` events.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Rate every call of a span again, in a rating run of its own; reports use the newest run.

    Examples:
      chargeback rates apply --table rates.yaml --from 2026-11-01 --to 2026-12-01
      chargeback rates apply --table rates.yaml --from 2026-11-10 --to 2026-11-11 --telemetry
    """
    from chargeback.cli.report import cache_folder  # noqa: PLC0415  it needs this module
    from chargeback.report.books import opened  # noqa: PLC0415  DuckDB only where it is needed
    from chargeback.report.span import span_of  # noqa: PLC0415  DuckDB only where it is needed
    from chargeback.rerating import apply as rerate_span  # noqa: PLC0415  DuckDB only where it is needed

    new = parse(read_text(table), source=str(table))
    sender = _sender() if telemetry else None
    store = ledger_of(ledger)
    where = ledger or settings().ledger or ""
    with (
        watching(quiet=quiet) as watch,
        opened(store, cache_folder(where), now=now(), table=new, watch=watch) as books,
    ):
        done = rerate_span(books, store, new, span_of(start, end), now=now(), watch=watch)
    typer.echo(
        f"run {done.run}: {done.calls:,} calls by {new.version}, {done.changed:,} changed, "
        f"{done.before:f} before, {done.after:f} now, {done.unpriced:,} unpriced"
    )
    if sender is not None:
        _drained(store, done.journal, sender, quiet=quiet)


@app.command("send")
def send(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Name of a rating run, as `rates apply` told it.")
    ],
    ledger: LedgerOption = None,
    quiet: QuietOption = False,
) -> None:
    """Send what a rating run changed as `Chargeback Adjustment` events, from where the last attempt ended.

    Examples:
      chargeback rates send azure-openai-list-20261202T081500Z
    """
    sender = _sender()
    store = ledger_of(ledger)
    journal = f"run/{run}"
    if journal not in store.journals():
        raise UsageError(f"no rating run {run!r} in this ledger")
    _drained(store, journal, sender, quiet=quiet)


def _sender() -> Sender:
    """Return the sender before any work is done: a run without its events would look complete."""
    sender = open_sender(settings())
    if sender is None:
        raise UsageError("telemetry: set APPLICATIONINSIGHTS_CONNECTION_STRING")
    return sender


def _drained(store: Ledger, journal: str, sender: Sender, *, quiet: bool) -> None:
    from chargeback.outbox import drain  # noqa: PLC0415  only with telemetry

    done = drain(store.journal(journal), store, sender, may_go_on=lambda: True)
    remark(f"telemetry: {done.confirmed} events confirmed, {done.refused} refused", quiet=quiet)
    if not done.is_empty:
        run = journal.removeprefix("run/")
        typer.echo(f"telemetry: some events wait; send them with `chargeback rates send {run}`", err=True)
        raise typer.Exit(1)


def read_text(path: Path) -> str:
    """Read a file the user named. Raises UsageError when that is not possible."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path}: cannot be read: {reason}") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def table_of(path: Path | None) -> RateTable | None:
    """Load the table a user named, else the one of CHARGEBACK_RATES; None when there is neither."""
    if path is not None:
        return parse(read_text(path), source=str(path))
    if not settings().rates:
        return None
    read, source = rates_of(settings())
    return parse(read(), source=source)
