"""``chargeback replay``: captured events to charges."""

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from chargeback.cli.expectation import differences
from chargeback.cli.output import Format, print_charges, print_charges_csv, print_groups
from chargeback.cli.progress import QuietOption, bytes_of, remark
from chargeback.cli.rates import read_text
from chargeback.errors import UsageError
from chargeback.event import Event
from chargeback.journal.rows import BillingRow, Reject
from chargeback.journal.winner import Call, calls
from chargeback.outbox import drain
from chargeback.pipeline import Context, DeadLetter
from chargeback.ports import Ledger
from chargeback.rates.load import parse
from chargeback.rates.table import RateTable
from chargeback.replaying import into_ledger, without_ledger
from chargeback.report.bill import bill, currencies, keys_of
from chargeback.sources.capture_files import Source, find
from chargeback.wiring import CONTAINER, fetched, is_folder, open_ledger, open_sender, settings


def replay(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH", help="Files (.jsonl, .json, .avro), folders or blob URLs of captured events."
        ),
    ],
    rates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The rate table; else CHARGEBACK_RATES. Without one nothing has a price."
        ),
    ] = None,
    style: Annotated[
        Format, typer.Option("--format", help="table: the bill; json and csv: one charge a line.")
    ] = Format.table,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="LEDGER",
            help="Folder or container to keep the charges in; a second replay bills nothing twice.",
        ),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File for events that could not be billed. It holds customer text."
        ),
    ] = None,
    expect: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File of expected charges; differences are printed, exit code 1."),
    ] = None,
    telemetry: Annotated[
        bool, typer.Option("--telemetry", help="Also send the ledger's charges to Application Insights.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Bill captured events: rebuild the answers, take or count the tokens, price them.

    Writes only what --ledger and --rejects name. Exit code 1 if events were rejected or --expect differs.

    Examples:
      chargeback replay samples/events --rates samples/rates.yaml
      chargeback replay captured/ --rates rates.yaml --ledger ledger --rejects rejects.jsonl
      chargeback replay captured.jsonl --rates rates.yaml --format json > charges.jsonl
    """
    store = _ledger(ledger, telemetry=telemetry)
    context = _context(rates, store)
    with fetched(paths, settings()) as files:
        source = find(files)
        with bytes_of("replay", _size(source), quiet=quiet) as done:
            rows, letters = _run(
                source, context, store, lambda batch: done(sum(len(event.body) + 1 for event in batch))
            )
    found = list(calls(rows))
    _print(found, style)
    refused = [row for row in rows if isinstance(row, Reject)]
    if rejects is not None:
        _write_rejects(rejects, refused, letters, store)
    if telemetry and store is not None:
        _send(store, f"source/{source.sha256}", quiet=quiet)
    if not quiet:
        _summarise(source, rows, context.table)
    _complain(refused)
    unexpected = differences(expect, [call.charge for call in found]) if expect else []
    for line in unexpected:
        typer.echo(line, err=True)
    if refused or unexpected:
        raise typer.Exit(1)


def _ledger(folder: Path | None, *, telemetry: bool) -> Ledger | None:
    if folder is None and telemetry:
        raise UsageError("--telemetry needs --ledger: what is sent is what the ledger holds")
    if folder is None:
        return None
    # A bare name is a container where there is a storage, as for every other command; else a folder to be made.
    named = str(folder)
    is_container = not is_folder(named) and (
        named.startswith(CONTAINER) or settings().storage_access.is_known
    )
    if not is_container and folder.is_file():
        raise UsageError(f"ledger {folder}: it is a file; name a folder")
    return open_ledger(named if is_container else str(folder.absolute()), settings())


def _context(rates: Path | None, store: Ledger | None) -> Context:
    path = rates or (Path(named) if (named := settings().rates) else None)
    table = parse(read_text(path), source=str(path)) if path else None
    if table and store:
        store.put_once(f"rates/{table.sha256}.json", table.canonical)
    return Context(privacy=settings().privacy, table=table)


def _run(
    source: Source, context: Context, store: Ledger | None, advance: Callable[[Sequence[Event]], None]
) -> tuple[list[BillingRow], list[DeadLetter]]:
    if store is None:
        return without_ledger(source, context, advance)
    return into_ledger(source, context, store, advance), []


def _print(found: Sequence[Call], style: Format) -> None:
    charges = [call.charge for call in found]
    if style is Format.json:
        print_charges(charges)
    elif style is Format.csv:
        print_charges_csv(charges)
    else:
        keys = keys_of("subscription,app,deployment")
        print_groups(bill(found, keys), keys, next(iter(currencies(charges)), ""), style)


def _write_rejects(
    path: Path, refused: Sequence[Reject], letters: Iterable[DeadLetter], store: Ledger | None
) -> None:
    """Write the rejected events with their bytes, so that they can be mended and replayed."""
    bodies = {letter.path: letter.body for letter in letters}
    with path.open("wb") as out:
        for row in refused:
            kept = store.dead_letters.get(row.dead_letter) if store else None
            body = kept[0] if kept else bodies.get(row.dead_letter, b"")
            line = {"row_id": row.row_id, "reason": row.reason, "message": row.message}
            out.write(msgspec.json.encode({**line, "body_base64": base64.b64encode(body).decode()}) + b"\n")


def _send(store: Ledger, journal: str, *, quiet: bool) -> None:
    sender = open_sender(settings())
    if sender is None:
        raise UsageError("--telemetry: set APPLICATIONINSIGHTS_CONNECTION_STRING")
    done = drain(store.journal(journal), store, sender, may_go_on=lambda: True)
    remark(f"telemetry: {done.confirmed} events confirmed, {done.refused} refused", quiet=quiet)
    if not done.is_empty:
        typer.echo("telemetry: not everything was confirmed; run the same command again", err=True)
        raise typer.Exit(1)


def _summarise(source: Source, rows: Sequence[BillingRow], table: RateTable | None) -> None:
    if not rows:
        count = len(source.files)
        typer.echo(f"no events in {count} file{'s' if count > 1 else ''}", err=True)
    if table is None:
        typer.echo("no rate table: every charge is unpriced; name one with --rates", err=True)


def _complain(refused: Sequence[Reject]) -> None:
    """Say why the exit code will be 1; also to who wants to hear of nothing else."""
    for reason, count in Counter(row.reason for row in refused).most_common():
        first = next(row for row in refused if row.reason == reason)
        typer.echo(f"rejected {count} ({reason}), for example {first.row_id}: {first.message}", err=True)


def _size(source: Source) -> int:
    return sum(file.stat().st_size for file in source.files)
