"""``chargeback rates``: check a rate table before it bills anybody."""

from pathlib import Path
from typing import Annotated

import typer

from chargeback.errors import UsageError
from chargeback.rates.load import faults, parse

app = typer.Typer(help="Work on rate tables.", no_args_is_help=True)


@app.callback()
def rates() -> None:
    """Work on rate tables."""


@app.command("check")
def check(table: Annotated[Path, typer.Argument(help="The rate table, a YAML file.")]) -> None:
    """Check a rate table and report all faults at once. Exit code 1 if there is an error."""
    text = read_text(table)
    found = faults(text, source=str(table))
    for fault in found:
        typer.echo(fault.told(str(table)))
    errors = sum(fault.severity == "error" for fault in found)
    if errors:
        typer.echo(f"{table}: {errors} errors, {len(found) - errors} warnings", err=True)
        raise typer.Exit(1)
    typer.echo(f"{table}: good, version {parse(text, source=str(table)).version}, {len(found)} warnings")


def read_text(path: Path) -> str:
    """Read a file the user named. Raises UsageError when that is not possible."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path}: cannot be read: {reason}") from None
