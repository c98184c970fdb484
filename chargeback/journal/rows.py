"""The kinds of rows a journal holds, and how a reader makes one call of several rows.

A row counts only once a ``commit`` follows it. Several rows with one ``charge_id`` are normal: a
redelivery by the producer, a late part, two sources of one call.
"""

import re
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from chargeback.charge import Charge
from chargeback.facts import Facts


class Identity(Struct, frozen=True, kw_only=True, tag_field="row", tag="identity"):
    """Who made a call and where it went, when the usage comes from elsewhere."""

    charge_id: str
    row_id: str
    source_format: str
    rank: str
    facts: Facts
    cost_centre: str | None = None
    """Who pays for calls of these; goes with the subscription to a charge that knows none."""


class Part(Struct, frozen=True, kw_only=True, tag_field="row", tag="part"):
    """A piece of a body has arrived and is kept in pending storage; its text is not here."""

    row_id: str
    call: str
    """Key of the join: the request id of the call."""
    body: str
    number: int
    of: int
    sha256: str


class Reject(Struct, frozen=True, kw_only=True, tag_field="row", tag="reject"):
    """An event that could not be billed; its bytes are the dead letter."""

    row_id: str
    reason: str
    message: str
    dead_letter: str
    """Where the original bytes are, relative to the dead-letter store."""
    enqueued_at: datetime | None


class Ignored(Struct, frozen=True, kw_only=True, tag_field="row", tag="ignored"):
    """An event that is understood and bills nothing (a metric record, another service)."""

    row_id: str
    reason: str


class Gap(Struct, frozen=True, kw_only=True, tag_field="row", tag="gap"):
    """Sequence numbers the platform skipped: ``first`` to ``last``, both missing."""

    first: int
    last: int


class Repaired(Struct, frozen=True, kw_only=True, tag_field="row", tag="repaired"):
    """Stands in a repair journal: these numbers of the stream were read again, no gap of them is open."""

    first: int
    last: int


class Commit(Struct, frozen=True, kw_only=True, tag_field="row", tag="commit"):
    """Makes the ``rows`` rows before it count. The last commit is the journal's watermark."""

    writer: str
    batch_id: str
    first_seq: int
    last_seq: int
    last_enqueued_time: datetime | None
    rows: int


class End(Struct, frozen=True, kw_only=True, tag_field="row", tag="end"):
    """The journal goes on in segment ``next``; nothing after this row counts."""

    next: str


class Rerated(Struct, frozen=True, kw_only=True, tag_field="row", tag="rerated"):
    """One call as a rating run prices and assigns it; ``previous_*`` is what held before.

    ``charge`` is the whole call after winner and merge. Only readers of runs look at this row.
    """

    run: str
    row_id: str
    charge: Charge
    previous_cost: Decimal | None
    previous_rating: str
    previous_cost_centre: str | None
    previous_version: str | None

    @property
    def changed(self) -> bool:
        """True when money or payer differ from before."""
        charge = self.charge
        now = (charge.total_cost, charge.rating, charge.cost_centre)
        return now != (self.previous_cost, self.previous_rating, self.previous_cost_centre)


class Run(Struct, frozen=True, kw_only=True, tag_field="row", tag="run"):
    """The end of a rating run: it is complete, and from now on reports use it."""

    row_id: str
    run: str
    rate_table_version: str
    sha256: str
    """Of the stored table."""
    start: datetime
    """Calls from this instant ..."""
    to: datetime
    """... up to this one were rated, end exclusive."""
    calls: int
    changed: int
    made_at: datetime


class BudgetReached(Struct, frozen=True, kw_only=True, tag_field="row", tag="budget"):
    """A cost centre's spending passed a share of its budget; told once a period and share."""

    row_id: str
    cost_centre: str
    period: str
    percent: int
    spent: Decimal
    amount: Decimal
    currency: str
    made_at: datetime


BillingRow = Charge | Identity | Part | Reject | Ignored | Gap | Repaired | Rerated | Run | BudgetReached
Row = BillingRow | Commit | End

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder: msgspec.json.Decoder[Row] = msgspec.json.Decoder(Row)
# Python writes a small Decimal as 1.5E-7; people, spreadsheets and some engines want 0.00000015.
_EXPONENT = re.compile(
    rb'"(quantity|price|cost|prompt_cost|completion_cost|total_cost|previous_cost|spent|amount)":"([0-9.]+E[+-]?[0-9]+)"'
)
# Behind these names stand only our own words and numbers; before them, strangers' ids.
_MONEY_STARTS: dict[type[Struct], bytes] = {
    Charge: b'"lines":[',
    Rerated: b'"lines":[',
    BudgetReached: b'"percent":',
}


def encode(row: Row) -> bytes:
    """Return one NDJSON line with its newline; decimals are plain, without exponents."""
    line = _encoder.encode(row)
    starts = _MONEY_STARTS.get(type(row))
    if starts is not None and (b"E-" in line or b"E+" in line):
        before, name, money = line.partition(starts)
        line = before + name + _EXPONENT.sub(_plain, money)
    return line + b"\n"


def _plain(match: re.Match[bytes]) -> bytes:
    return b'"%b":"%b"' % (match[1], f"{Decimal(match[2].decode()):f}".encode())


def decode(line: bytes) -> Row:
    """Read one line. Raises ``msgspec.DecodeError`` for a torn or foreign one."""
    return _decoder.decode(line)
