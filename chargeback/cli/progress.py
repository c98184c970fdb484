"""Bars with rate and time left, for people at a terminal; nowhere else a byte of them is written."""

import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Annotated, TypeVar

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from chargeback.cli.output import console
from chargeback.watching import Watch, unwatched

QuietOption = Annotated[
    bool, typer.Option("--quiet", help="Only the result and errors: no progress bar, no remarks.")
]

_Item = TypeVar("_Item")


def remark(told: str, *, quiet: bool) -> None:
    """Say on stderr what is good to know; results and errors are told with --quiet too."""
    if not quiet:
        typer.echo(told, err=True)


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@contextmanager
def watching(*, quiet: bool = False) -> Generator[Watch]:
    """Yield what shows each piece of long work as a bar; it is gone when the work is done."""
    if _unseen(quiet):
        yield unwatched
        return
    with _bars(count_columns()) as bars:

        def watch(what: str, items: Iterable[_Item], total: int, /) -> Iterable[_Item]:
            return bars.track(items, total=total, description=what)

        yield watch


@contextmanager
def bytes_of(what: str, size: int, *, quiet: bool) -> Generator["Bytes"]:
    """Yield what counts bytes of ``size`` as they are done."""
    if _unseen(quiet):
        yield Bytes(None, size, what)
        return
    with _bars(byte_columns()) as bars:
        yield Bytes(bars, size, what)


class Bytes:
    """Called with how many more are done."""

    def __init__(self, bars: Progress | None, size: int, what: str) -> None:
        self._bars = bars
        self._task = None if bars is None else bars.add_task(what, total=size)

    def __call__(self, more: int) -> None:
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, more)


def _unseen(quiet: bool) -> bool:
    return quiet or not sys.stderr.isatty()


def count_columns() -> tuple[ProgressColumn, ...]:
    """How far, how fast and how long, in items."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )


def byte_columns() -> tuple[ProgressColumn, ...]:
    """The same in bytes."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )


def _bars(columns: tuple[ProgressColumn, ...]) -> Progress:
    return Progress(*columns, console=console(), transient=True, get_time=time.monotonic)
