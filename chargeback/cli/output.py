"""How commands print: JSON lines and CSV for programs, tables for people; data on stdout, all else on stderr."""

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from chargeback.charge import Charge
from chargeback.journal.rows import encode
from chargeback.report.bill import NUMBERS, Group, share, total


class Format(StrEnum):
    """What ``--format`` takes."""

    table = "table"
    json = "json"
    csv = "csv"


_COUNTS = (
    "estimated",
    "truncated",
    "lower_bound",
    "upper_bound",
    "unpriced",
    "unmetered",
    "pooled",
    "not_billable",
    "conflicts",
    "corrections",
)
# Of these the share is told under every table, also when it is nothing.
_SHARES = ("estimated", "truncated", "lower_bound", "upper_bound", "unpriced")


def print_charges(charges: Iterable[Charge]) -> None:
    """Print one charge a line as JSON, as the journal holds it."""
    for charge in charges:
        sys.stdout.write(encode(charge).decode())


def print_charges_csv(charges: Iterable[Charge]) -> None:
    """Print charges as CSV; nested values as JSON text."""
    out = csv.writer(sys.stdout)
    out.writerow(Charge.__struct_fields__)
    for charge in charges:
        row = msgspec.to_builtins(charge)
        out.writerow(_cell(row[name]) for name in Charge.__struct_fields__)


def print_groups(groups: Sequence[Group], keys: Sequence[str], currency: str, style: Format) -> None:
    """Print the bill in the wished format."""
    _PRINTERS[style](groups, keys, currency)


def _as_table(groups: Sequence[Group], keys: Sequence[str], currency: str) -> None:
    """Show the certain numbers, and a column for each kind of uncertainty only where there is any."""
    whole = total(groups)
    shown = [name for name in _COUNTS if getattr(whole, name)]
    paid = [name for name in ("markup", "pool_cost") if getattr(whole, name)]
    # Without markups and pools, cost and bill are one.
    paid = ["cost", *paid, "billed"] if paid else ["cost"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for key in keys:
        table.add_column(key, overflow="fold")
    for name in ("calls", "prompt", "completion", *(name.replace("_", " ") for name in shown)):
        table.add_column(name, justify="right")
    for name in paid:
        heading = {"cost": "cost", "pool_cost": "pools"}.get(name, name)
        table.add_column(f"{heading} {currency}", justify="right")
    for group in groups:
        table.add_row(*(value or "-" for value in group.keys), *_numbers(group, shown, paid))
    table.add_section()
    table.add_row("total", *("" for _ in keys[1:]), *_numbers(whole, shown, paid), style="bold")
    out = data_console()
    out.print(table)
    out.print(shares(whole), style="dim", highlight=False)


def shares(whole: Group) -> str:
    """Say how much of the bill is not certain; always, so that nothing is an answer too."""
    told = [f"{name.replace('_', ' ')} {share(getattr(whole, name), whole.calls)}" for name in _SHARES]
    of_cost = share(whole.estimated_cost, whole.cost)
    return f"of all calls: {', '.join(told)}; estimated cost: {of_cost} of the total"


def _numbers(group: Group, shown: Sequence[str], paid: Sequence[str]) -> tuple[str, ...]:
    counts = (
        group.calls,
        group.prompt_tokens,
        group.completion_tokens,
        *(getattr(group, name) for name in shown),
    )
    return (*(f"{count:,}" for count in counts), *(money(getattr(group, name)) for name in paid))


def money(amount: Decimal) -> str:
    """Show an amount exactly, with at least two decimals; nothing is rounded here."""
    whole, _, decimals = f"{amount:f}".partition(".")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.lstrip('-')):,}.{decimals.rstrip('0').ljust(2, '0')}"


def _as_json(groups: Sequence[Group], keys: Sequence[str], currency: str) -> None:
    for group in groups:
        sys.stdout.write(msgspec.json.encode(_named(group, keys, currency)).decode() + "\n")


def _as_csv(groups: Sequence[Group], keys: Sequence[str], currency: str) -> None:
    names = [*keys, *NUMBERS, "currency"]
    out = csv.writer(sys.stdout)
    out.writerow(names)
    for group in groups:
        row = _named(group, keys, currency)
        out.writerow(_cell(row[name]) for name in names)


_PRINTERS = {Format.table: _as_table, Format.json: _as_json, Format.csv: _as_csv}


def _named(group: Group, keys: Sequence[str], currency: str) -> dict[str, Any]:
    numbers = {
        name: f"{value:f}" if isinstance(value := getattr(group, name), Decimal) else value
        for name in NUMBERS
    }
    return {**dict(zip(keys, group.keys, strict=True)), **numbers, "currency": currency}


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return value if isinstance(value, str | int) else msgspec.json.encode(value).decode()


class _Piped(Console):
    """A console that lets the command line say how a broken pipe ends."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


_PIPE_WIDTH = 240
"""A pipe has no width: lines as long as the data, so that nothing is folded for grep."""


def data_console() -> Console:
    """Return what prints tables on stdout."""
    return _plain_if_asked(stderr=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def console() -> Console:
    """Return where people read: never the stream that carries data."""
    return _plain_if_asked(stderr=True, width=None)


def _plain_if_asked(*, stderr: bool, width: int | None) -> Console:
    """Rich drops colours for NO_COLOR and keeps bold and dim; who asks for none means none of it."""
    made = _Piped(stderr=stderr, width=width)
    return _Piped(stderr=stderr, width=width, color_system=None) if made.no_color else made


def text_of(lines: Iterable[str]) -> str:
    """Join lines for a diff or a file."""
    out = io.StringIO()
    for line in lines:
        out.write(line + "\n")
    return out.getvalue()
