"""The command line as data: its commands, and lines of examples and documents read by its own parser."""

import contextlib
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path
from unittest import mock

import typer
import typer.main

from chargeback.cli import manners
from chargeback.cli.commands import app
from chargeback.wiring import settings

ROOT = Path(__file__).parents[2]
PROGRAM = ("chargeback", ".venv/bin/chargeback")


def commands(group=None, path=()):
    """Yield every command with its path, groups left out, hidden ones too."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def options_of(command):
    """Long options a person may give."""
    return {word for each in command.params if not getattr(each, "hidden", False) for word in each.opts if word.startswith("--")}  # fmt: skip


def words_of(line):
    """The words behind the program's name; settings before it, redirections and pipes left out. None: no command."""
    words = shlex.split(line, comments=True)
    while words and "=" in words[0]:
        words.pop(0)
    if not words or words[0] not in PROGRAM:
        return None
    ends = [words.index(sign) for sign in ("<", ">", "2>", "|", "||", "&&", ";") if sign in words]
    return words[1 : min(ends, default=len(words))]


def parse(line):
    """Let the parser read a line as it would; raises typer.TyperException for what it refuses."""
    words = words_of(line) or []
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    if hasattr(command, "commands") and words and not words[0].startswith("-"):
        raise typer.TyperException(f"no such command: {words[0]}")
    if not hasattr(command, "commands"):
        command.make_context("chargeback", list(words))


def called(*words, stdin="", **env):
    """Run the command here, as in a process of its own but without its two seconds of start."""
    words = [str(word) for word in words]
    streams = {
        name: io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for name in ("stdout", "stderr")
    }
    settings.cache_clear()
    with (
        contextlib.chdir(ROOT),
        mock.patch.dict(
            os.environ, {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **env}, clear=True
        ),
        mock.patch.multiple(sys, argv=["chargeback", *words], stdin=io.StringIO(stdin), **streams),
    ):
        code = manners.run(app)
    settings.cache_clear()
    told = {name: stream.buffer.getvalue().decode() for name, stream in streams.items()}
    return subprocess.CompletedProcess(words, code, **told)


def start(*words, env=None, **options):
    """Start the command in a process of its own, with nothing of our environment but the path."""
    return subprocess.Popen(
        [sys.executable, "-m", "chargeback.cli", *map(str, words)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", **(env or {})},
        **options,
    )
