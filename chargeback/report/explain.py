"""How one charge came about, for the person who has to answer for it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chargeback.charge import Charge
from chargeback.errors import UsageError
from chargeback.notes import NOTES
from chargeback.ports import Ledger
from chargeback.rates.rows import Rate
from chargeback.rates.table import RateTable, instant_text, rate_id
from chargeback.rating import REASONS
from chargeback.report.books import Books, stored_table
from chargeback.report.columns import text
from chargeback.report.considered import considered
from chargeback.report.query import plain
from chargeback.report.reading import COLUMNS, charge_of
from chargeback.tokens.notes import NOTES as TOKEN_NOTES

_EXTRA = '"at", kind, rows, conflict, rival, run, markup, corrects, waiver, '
_SHORTEST = 6
"""Characters of a charge id that are enough when only one begins so."""


def explain(books: Books, ledger: Ledger, charge_id: str) -> list[str]:
    """Return the lines. Raises UsageError for a charge nobody has."""
    found = books.db.rows(
        f"SELECT {_EXTRA}{COLUMNS} FROM entries WHERE {_named(books, charge_id)} ORDER BY rival, kind"
    )
    if not found:
        return _without_charge(books, charge_id)
    lines: list[str] = []
    for row in found:
        lines += _entry(books, ledger, row)
    return lines


def _named(books: Books, charge_id: str) -> str:
    """Match the id, a row id, or the beginning of an id that is unique."""
    exact = f"charge_id = {text(charge_id)} OR row_id = {text(charge_id)}"
    if books.db.one(f"SELECT count(*) FROM entries WHERE {exact}") or len(charge_id) < _SHORTEST:
        return exact
    ids = books.db.rows(
        f"SELECT DISTINCT charge_id FROM entries WHERE starts_with(charge_id, {text(charge_id)}) LIMIT 3"
    )
    if len(ids) > 1:
        raise UsageError(
            f"{charge_id!r} begins several charge ids, such as {ids[0][0]} and {ids[1][0]}; give one whole"
        )
    return f"charge_id = {text(ids[0][0])}" if ids else exact


def _without_charge(books: Books, charge_id: str) -> list[str]:
    if books.db.one("SELECT count(*) FROM identities WHERE charge_id = ?", [charge_id]):
        return [
            f"call {charge_id}",
            "  who and where of it are known, its usage is not: no event with usage has come, so it costs nothing yet",
        ]
    raise UsageError(
        f"no charge {charge_id!r} in this ledger; `chargeback report --format json` and the customEvents "
        "(TokenInfoId) have the ids"
    )


def _entry(books: Books, ledger: Ledger, row: tuple[Any, ...]) -> Iterator[str]:
    at, kind, rows, conflict, rival, run, markup, corrects, waiver = row[:9]
    charge = charge_of(row[9:])
    table = stored_table(ledger, charge.rate_table_version) if charge.rate_table_version else None
    moment = at.replace(tzinfo=UTC) if isinstance(at, datetime) else None
    yield f"charge {charge.charge_id}"
    if corrects:
        yield f"  a correction of {corrects}, billed in {at:%Y-%m}"
    yield from _who(charge, moment)
    yield from _usage(charge)
    yield from _money(charge, table)
    if markup:
        yield f"  markup of {charge.cost_centre}: {plain(Decimal(markup)):f} {charge.currency or ''}".rstrip()
    if charge.rating == "unpriced":
        yield from _why_unpriced(charge, table or books.table, moment)
    if run:
        yield f"  rated by run {run}"
    yield from _rows(books, charge, rows=rows, conflict=conflict, rival=rival)
    if waiver:
        yield f"  waived: {waiver}"
    yield f"  kind: {kind}"


def _who(charge: Charge, at: datetime | None) -> Iterator[str]:
    when = "unknown time" if at is None else at.isoformat().replace("+00:00", "Z")
    late = "" if charge.occurred_at else " (the hub's; the event has none)"
    yield f"  {charge.operation} at {when}{late}, status {charge.http_status or 'unknown'}"
    caller = charge.subscription_name or charge.subscription_id or "nobody known"
    yield (
        f"  caller: {caller}, app {charge.app_id or '-'}, product {charge.product or '-'}; "
        f"paid by {charge.cost_centre or 'nobody'}"
    )
    yield (
        f"  served by: {charge.account or 'unknown account'}/{charge.deployment or 'unknown deployment'}, "
        f"{charge.model or 'unknown model'}, {charge.deployment_type or 'unknown type'}, "
        f"{charge.region or 'unknown region'}, tier {charge.service_tier or 'default'}"
    )


def _usage(charge: Charge) -> Iterator[str]:
    counts = (
        ("prompt", charge.prompt_tokens),
        ("of it cached", charge.cached_tokens),
        ("of it written to the cache", charge.cache_write_tokens),
        ("completion", charge.completion_tokens),
        ("of it reasoning", charge.reasoning_tokens),
    )
    told = ", ".join(
        f"{name} {'unknown' if count is None else count}" for name, count in counts if count != 0
    )
    yield f"  tokens ({charge.usage_source}): {told}"
    for meter, amount in sorted((charge.quantities or {}).items()):
        yield f"  {meter}: {amount:f}"
    for note in charge.usage_notes:
        meaning = NOTES.get(note) or (TOKEN_NOTES[note].meaning if note in TOKEN_NOTES else "")
        yield f"  note {note}: {meaning}"


def _money(charge: Charge, table: RateTable | None) -> Iterator[str]:
    version = charge.rate_table_version or "no rate table"
    if charge.rating == "priced":
        yield f"  price: {charge.total_cost:f} {charge.currency} by {version}"
    else:
        reason = (
            f"{charge.rating_reason}: {REASONS.get(charge.rating_reason, '')}" if charge.rating_reason else ""
        )
        yield f"  {charge.rating} {reason}".rstrip() + f" (by {version})"
    rates = _by_id(table)
    for line in charge.lines:
        yield (
            f"    {line.meter}: {line.quantity:f} {line.unit} x {line.price:f} / {line.per} = {line.cost:f}"
            f"  [{line.rate_id}]{_about(rates.get(line.rate_id), line.meter)}"
        )


def _by_id(table: RateTable | None) -> dict[str, Rate]:
    if table is None:
        return {}
    return {rate_id(rate, meter): rate for rate in table.rows.rates for meter in rate.meters}


def _about(rate: Rate | None, meter: str) -> str:
    if rate is None:
        return ""
    end = "" if rate.effective_to is None else f" to {instant_text(rate.effective_to)}"
    azure = rate.meters[meter].azure_meter
    return f" effective {instant_text(rate.effective_from)}{end}" + (
        f", Azure meter {azure!r}" if azure else ""
    )


def _why_unpriced(charge: Charge, table: RateTable | None, at: datetime | None) -> Iterator[str]:
    if table is None or at is None:
        yield "    nothing was looked up: there was no rate table, or no time to look it up for"
        return
    yield f"    looked at in {table.version}:"
    for line in considered(table, charge, at):
        yield f"      {line}"


def _rows(books: Books, charge: Charge, *, rows: int, conflict: bool, rival: bool) -> Iterator[str]:
    if conflict:
        place = "another count" if rival else "the winning count"
        yield f"  CONFLICT: events of one kind report different usage; this is {place}"
    yield f"  row {charge.row_id}, format {charge.source_format}; {rows} charge row(s) of this call:"
    for row_id, source, prompt, completion, journal in books.db.rows(
        "SELECT row_id, usage_source, prompt_tokens, completion_tokens, journal FROM charges WHERE charge_id = ? "
        "ORDER BY rank, row_id",
        [charge.charge_id],
    ):
        sign = "*" if row_id == charge.row_id else " "
        yield f"    {sign} {row_id}: {source}, prompt {prompt}, completion {completion} (journal {journal})"
