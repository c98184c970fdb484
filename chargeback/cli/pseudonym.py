"""``chargeback pseudonym``: subscription keys on stdin to the key ids of the rate table."""

import sys

import typer

from chargeback.wiring import settings


def pseudonym() -> None:
    """Turn subscription keys on stdin, one a line, into the key ids the rate table and the bill use.

    With CHARGEBACK_PSEUDONYM_KEY set, the same keyed pseudonym as the worker makes. Keys are read from
    stdin only, so that none stays in the shell's history.

    Examples:
      chargeback pseudonym < keys.txt
      CHARGEBACK_PSEUDONYM_KEY=... chargeback pseudonym
    """
    privacy = settings().privacy
    if sys.stdin.isatty():
        typer.echo("Paste keys, one a line; end with Ctrl-D.", err=True)
    for line in sys.stdin:
        if key := line.strip():
            typer.echo(privacy.key_id(key))
