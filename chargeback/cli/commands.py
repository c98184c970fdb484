"""Every command under its name: one module a command; how mistakes are told is in ``manners``."""

from typing import Annotated

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
from chargeback.cli.manners import Command, Group

app = typer.Typer(
    name="chargeback",
    cls=Group,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("replay")(replay.replay)
app.command("report")(report.report)
app.add_typer(rates.app, name="rates", cls=Group)
app.command("close")(close.close)
app.command("reconcile")(reconcile.reconcile)
app.command("budgets")(budgets.budgets)
app.command("explain")(explain.explain)
app.command("statements")(statements.statements)
app.command("consume")(consume.consume)
app.command("send")(send.send)
app.add_typer(dead_letters.app, name="dead-letters", cls=Group)
app.command("repair")(repair.repair_gaps)
app.command("doctor")(doctor.doctor)
app.command("pseudonym")(pseudonym.pseudonym)
for _group in (app, rates.app, dead_letters.app):
    for _command in _group.registered_commands:
        _command.cls = Command


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
    """Bill Azure OpenAI calls from captured gateway events.

    Start with `chargeback replay FILES --rates TABLE`; every command's --help shows examples.
    """
