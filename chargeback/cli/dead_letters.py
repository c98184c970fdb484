"""``chargeback dead-letters``: work off what could not be billed, or what telemetry refused."""

import sys
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from chargeback.cli.ledgers import LedgerOption, ledger_of
from chargeback.cli.output import console, data_console
from chargeback.errors import UsageError
from chargeback.ports import Ledger
from chargeback.requeue import TELEMETRY, requeue
from chargeback.wiring import context_of, now, open_sender, settings

app = typer.Typer(help="Work off events that could not be billed.", no_args_is_help=True)


@app.callback()
def dead_letters() -> None:
    """Work off events that could not be billed."""


@app.command("list")
def list_letters(
    folder: Annotated[
        str,
        typer.Argument(metavar="FOLDER", help="Only below this: namespace, namespace/hub ..., telemetry."),
    ] = "",
    ledger: LedgerOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One letter a line as JSON.")] = False,
) -> None:
    """List dead letters with the reason of each; never their bytes.

    Examples:
      chargeback dead-letters list --ledger ./ledger
      chargeback dead-letters list telemetry --json
    """
    store = ledger_of(ledger)
    letters = list(_told(store, folder))
    if as_json:
        for letter in letters:
            sys.stdout.write(msgspec.json.encode(letter).decode() + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("letter", "bytes", "reason", "message"):
        table.add_column(name, overflow="fold", justify="right" if name == "bytes" else "left")
    for letter in letters:
        table.add_row(*map(str, letter.values()))
    if letters:
        data_console().print(table)
    typer.echo(f"{len(letters)} dead letters", err=True)


def _told(store: Ledger, folder: str) -> Iterator[dict[str, str | int]]:
    for path in store.dead_letters.list(folder):
        letter = store.dead_letters.get(path)
        if letter is not None:
            body, about = letter
            reason, message = about.get("reason", ""), about.get("message", "")
            yield {"letter": path, "bytes": len(body), "reason": reason, "message": message}


@app.command("show")
def show(
    letter: Annotated[str, typer.Argument(metavar="LETTER", help="As `list` names it.")],
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Print the bytes. They may be customer text.")
    ] = False,
    ledger: LedgerOption = None,
) -> None:
    """Show why an event was rejected; its bytes only with --reveal, on stdout.

    Examples:
      chargeback dead-letters show myns.servicebus.windows.net/usage/1/0/4711
      chargeback dead-letters show myns.servicebus.windows.net/usage/1/0/4711 --reveal > event.json
    """
    found = ledger_of(ledger).dead_letters.get(letter)
    if found is None:
        raise UsageError(f"there is no dead letter {letter!r}; `chargeback dead-letters list` names them all")
    body, about = found
    for name, value in sorted(about.items()):
        typer.echo(f"{name}: {value}", err=True)
    typer.echo(f"bytes: {len(body)}", err=True)
    if reveal:
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
    else:
        console().print("its bytes may be customer text: add --reveal to print them", style="dim")


@app.command("requeue")
def requeue_letters(
    letters: Annotated[
        list[str] | None, typer.Argument(metavar="LETTER", help="Which ones, as `list` names them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    reason: Annotated[
        str | None, typer.Option(metavar="REASON", help="With --all: only those rejected for this reason.")
    ] = None,
    ledger: LedgerOption = None,
) -> None:
    """Process dead letters once more, under the names their events have; what is billed now is deleted.

    Exit code 1 if some were rejected again.

    Examples:
      chargeback dead-letters requeue myns.servicebus.windows.net/usage/1/0/4711
      chargeback dead-letters requeue --all --reason unknown_format
    """
    if bool(letters) == everything:
        raise UsageError("name dead letters, or give --all")
    configured = settings()
    store = ledger_of(ledger)
    chosen = letters or [
        str(each["letter"]) for each in _told(store, "") if reason is None or each["reason"] == reason
    ]
    for path in chosen:
        if store.dead_letters.get(path) is None:
            raise UsageError(
                f"there is no dead letter {path!r}; `chargeback dead-letters list` names them all"
            )
    needs_sender = any(path.startswith(TELEMETRY) for path in chosen)
    sender = open_sender(configured) if needs_sender else None
    done = requeue(store, chosen, context_of(configured, store)(), sender, now())
    typer.echo(f"{done.done} done and deleted, {done.again} rejected again", err=True)
    if done.again:
        raise typer.Exit(1)
