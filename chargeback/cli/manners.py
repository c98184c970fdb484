"""How the command line treats people: a mistake is one line with its remedy, and an early end is quiet.

2    wrong use: what was wrong, what may be meant, where the help is
130  Ctrl-C (128 + SIGINT), one line
141  the reader of a pipe went away (128 + SIGPIPE), as of any other tool
"""

import os
import re
import signal
import sys
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from chargeback.cli import INTERRUPTED, tell_interrupted
from chargeback.errors import ChargebackError
from chargeback.rates.faults import did_you_mean

MISUSE, UNREAD = 2, 141

_CHOICE = re.compile(r"^(?:Value error, )?'(?P<word>[^']*)' is not one of (?P<words>'.*')\.?$")


class Command(TyperCommand):
    """A command whose help shows the examples of its docstring line by line, and whose line in a list is whole."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        # A line with \b alone keeps the paragraph behind it from being wrapped.
        self.help = re.sub(r"\n\nExample(s?):", "\n\n\b\nExample\\1:", self.help or "")
        self.short_help = self.short_help or _in_a_line(self.help)
        for each in self.params:
            if isinstance(each, TyperArgument):
                # Its name says what it is; Typer would put Python's name for its type beside it.
                each.display_type_rich = _no_type

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Write FILE and [FILE] as everybody does, not {FILE}."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]


def _no_type(ctx: Any) -> None:
    """Nothing to say."""


_MOST_OF_A_LINE = 62


def _in_a_line(text: str) -> str:
    """Cut a docstring's first sentence where it makes a pause, before a list would cut it anywhere."""
    sentence = re.split(r"[.:;](?:\s|$)", text.strip(), maxsplit=1)[0]
    return sentence if len(sentence) <= _MOST_OF_A_LINE else sentence.partition(", ")[0]


class Group(TyperGroup):
    """Commands under one name; without a word it shows its help, as wrong use."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(MISUSE)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """A broken pipe is ours: Typer would make it exit code 1, which means that something was rejected."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise typer.Exit(UNREAD) from None


def run(app: typer.Typer, *, heeded: bool = False) -> int:
    """Run the command and return its exit code. Faults of the program keep their traceback.

    ``heeded``: Ctrl-C reaches the command as KeyboardInterrupt, so that it can let go of what it holds.
    """
    try:
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = _ended(app)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except RuntimeError as error:
        if str(error) != _INTERRUPTED_QUERY:
            raise
        code = INTERRUPTED
    if code == INTERRUPTED:
        tell_interrupted()
    if code == UNREAD:
        _write_to_nobody()
    return code


_INTERRUPTED_QUERY = "Query interrupted"
"""What DuckDB makes of Ctrl-C: a RuntimeError without a cause."""


def _ended(app: typer.Typer) -> int:
    try:
        code = app(prog_name="chargeback", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return UNREAD
    except typer.TyperException as error:
        return _complain(_told(error), _place(error))
    except ChargebackError as error:
        return _complain(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        return _complain(f"{error.filename}: {error.strerror}")
    return code if isinstance(code, int) else 0


def _complain(told: str, place: str = "chargeback") -> int:
    typer.echo(f"{place}: {told}", err=True)
    return MISUSE


def _place(error: typer.TyperException) -> str:
    """Name the command as it was called, when the parser got that far."""
    return getattr(getattr(error, "ctx", None), "command_path", "chargeback")


def _told(error: typer.TyperException) -> str:
    """Say the parser's complaint in one line, with the word that may be meant."""
    close = getattr(error, "possibilities", None)
    if close:
        error.message = f"{error.message} (did you mean {' or '.join(sorted(close))}?)"
        error.possibilities = None  # pyright: ignore[reportAttributeAccessIssue]  else they are told twice
    if choice := _CHOICE.match(error.message):
        words = re.findall(r"'([^']+)'", choice["words"])
        guess = did_you_mean(choice["word"], words)
        error.message = f"{choice['word']!r} is not one of {', '.join(words)}{guess}"
    told = " ".join(error.format_message().split()).rstrip(".")
    return f"{told[:1].lower()}{told[1:]} (see {_place(error)} --help)"


def _write_to_nobody() -> None:
    """Let the interpreter flush what is left into nothing, or it would complain at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
