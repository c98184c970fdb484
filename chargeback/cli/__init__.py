"""The command line: one module a command, errors of the user as one line and exit code 2."""

import logging
import sys
from typing import Annotated, NoReturn

import typer

from chargeback import __version__
from chargeback.cli import (
    budgets,
    close,
    consume,
    dead_letters,
    doctor,
    explain,
    pseudonym,
    rates,
    reconcile,
    repair,
    replay,
    report,
    send,
    statements,
)
from chargeback.errors import ChargebackError

app = typer.Typer(
    name="chargeback",
    help="Bill Azure OpenAI calls from captured gateway events.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("replay")(replay.replay)
app.command("report")(report.report)
app.add_typer(rates.app, name="rates")
app.command("close")(close.close)
app.command("reconcile")(reconcile.reconcile)
app.command("budgets")(budgets.budgets)
app.command("explain")(explain.explain)
app.command("statements")(statements.statements)
app.command("consume")(consume.consume)
app.command("send")(send.send)
app.add_typer(dead_letters.app, name="dead-letters")
app.command("repair")(repair.repair_gaps)
app.command("doctor")(doctor.doctor)
app.command("pseudonym")(pseudonym.pseudonym)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Bill Azure OpenAI calls from captured gateway events."""


def main() -> NoReturn:
    """Run the command; what is the user's to mend becomes one line on stderr and exit code 2."""
    # Commands tell people what they did in their own words; logs are for hosts, which ask for them.
    logging.getLogger("chargeback").addHandler(logging.NullHandler())
    try:
        app()
    except ChargebackError as error:
        typer.echo(f"chargeback: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:  # `chargeback ... | head` closed the pipe: nothing is wrong
        sys.stderr.close()
        sys.exit(0)
    sys.exit(0)
