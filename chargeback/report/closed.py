"""Closed months: what a close wrote, and how readers find it. Nothing here is ever changed again.

    close/2026-11/manifest.json      put once, last: with it the month is closed
    close/2026-11/<sha256>.parquet   one row a charge_id, and the shares of pools; named by content

A manifest freezes every journal at a place. What a journal holds behind it about a closed month came late:
a duplicate, or a correction in the next month that is open.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct

from chargeback.errors import StopError
from chargeback.ports import Ledger
from chargeback.report.span import Span, month

FOLDER = "close"


class Frozen(Struct, frozen=True, kw_only=True):
    """Where a journal ended for the close."""

    journal: str
    segment: str
    bytes: int
    """Length of that segment; those before it count whole."""
    rows: int
    """Rows of the journal up to here."""


class File(Struct, frozen=True, kw_only=True):
    path: str
    sha256: str
    bytes: int
    rows: int


class Waiver(Struct, frozen=True, kw_only=True):
    """An obstacle somebody answers for."""

    id: str
    who: str
    why: str


class Sum(Struct, frozen=True, kw_only=True):
    """What one cost centre owes for the month; ``invoiced`` is rounded, once, and ``residual`` is the rest."""

    cost_centre: str
    calls: int
    cost: Decimal
    markup: Decimal
    pool_cost: Decimal
    billed: Decimal
    invoiced: Decimal
    residual: Decimal


class Manifest(Struct, frozen=True, kw_only=True):
    """A closed month."""

    schema: int = 1
    period: str
    closed_at: datetime
    closed_by: str
    program: str
    currency: str
    rate_table_version: str | None
    rate_table_sha256: str | None
    run: str | None
    """The rating run that was newest; later ones never touch this month."""
    journals: tuple[Frozen, ...]
    files: tuple[File, ...]
    cubes: tuple[File, ...]
    """The same month summed by day, first without callers, then with them (``query.CUBES``): what most
    questions are answered from."""
    calls: int
    corrections: int
    billed: Decimal
    invoiced: Decimal
    residual: Decimal
    sums: tuple[Sum, ...]
    waivers: tuple[Waiver, ...]

    @property
    def span(self) -> Span:
        return month(self.period)


def manifests(ledger: Ledger) -> list[Manifest]:
    """Return the closed months, ascending."""
    found: list[Manifest] = []
    for path in ledger.stored(FOLDER):
        if not path.endswith("/manifest.json"):
            continue
        data = ledger.fetch(path)
        if data is not None:
            found.append(_decode(path, data))
    return sorted(found, key=lambda each: each.period)


def path_of(period: str) -> str:
    return f"{FOLDER}/{period}/manifest.json"


def encode(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def _decode(path: str, data: bytes) -> Manifest:
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise StopError(
            f"{path}: {error}; expected a manifest as `chargeback close` wrote it. Restore it from a backup"
        ) from error


def fetched(ledger: Ledger, wanted: Iterable[File], folder: Path) -> list[Path]:
    """Bring files of closed months into ``folder`` and check each once against its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for each in wanted:
        local = folder / f"{each.sha256}.parquet"
        if not local.exists() or local.stat().st_size != each.bytes:
            data = ledger.fetch(each.path)
            if data is None or hashlib.sha256(data).hexdigest() != each.sha256:
                state = "missing" if data is None else "not the file that was closed"
                raise StopError(
                    f"{each.path}: {state}; restore it from a backup, its month cannot be told without"
                )
            beside = local.with_suffix(".new")
            beside.write_bytes(data)
            beside.replace(local)
        files.append(local)
    return files
