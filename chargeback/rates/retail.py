"""Azure's Retail Prices pages against a rate table: what changed, and what could not be mapped. Never a guess.

    pages ──items──> meters by name words ──> a rate row and meter of the table, or the reason why not

A meter is mapped by the ``azure_meter_id`` or the exact ``azure_meter`` of a rate; the words of its name
(``meter_names``) are read only to *propose* what a meter without one may be.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from chargeback.errors import UsageError
from chargeback.rates.meter_names import read_name
from chargeback.rates.rows import Meter, Rate
from chargeback.rates.table import RateTable
from chargeback.rates.words import METERS, UNITS

# Azure's `unitOfMeasure` -> how many of what; per row, never one multiplier for a whole list.
UNIT_OF_MEASURE: dict[str, tuple[int, tuple[str, ...]]] = {
    "1K": (1_000, ("tokens", "characters", "each")),
    "1M": (1_000_000, ("tokens", "characters")),
    "1": (1, ("each", "tokens", "characters")),
    "100": (100, ("each",)),
    "1 Hour": (1, ("hours",)),
    "1/Hour": (1, ("hours",)),
    "1 Second": (1, ("seconds",)),
}


class Item(Struct, frozen=True, kw_only=True):
    """One price of the list."""

    meter_id: str
    meter: str
    product: str
    region: str
    unit: str
    price: Decimal
    currency: str
    effective_from: str
    kind: str


class Change(Struct, frozen=True, kw_only=True):
    """A price of the list beside the table's."""

    path: str
    rate: str
    meter: str
    item: Item
    ours: Decimal
    theirs: Decimal
    """Both for one unit."""

    @property
    def told(self) -> str:
        return (
            f"{self.path}: {self.meter}: {self.item.meter!r} ({self.item.meter_id}) in {self.item.region or 'all regions'} "
            f"since {self.item.effective_from[:10]}: {self.item.price:f} per {self.item.unit}; the table has "
            f"{self.ours:f} per unit, the list {self.theirs:f}"
        )


class Comparison(Struct, frozen=True, kw_only=True):
    same: int
    changes: tuple[Change, ...]
    missing: tuple[str, ...]
    """Meters of the table that name an Azure meter the pages do not have."""
    unmapped: tuple[tuple[Item, str], ...]
    """Items no rate refers to, each with what its name seems to say."""


def items(pages: Iterable[bytes], source: str) -> Iterator[Item]:
    """Yield the prices of saved pages. Raises UsageError when there is none: a wrong filter answers so."""
    count = 0
    for page in pages:
        for row in _rows(page, source):
            count += 1
            yield _item(row)
    if not count:
        raise UsageError(
            f"{source}: 0 prices; the filter found nothing. The service is named 'Foundry Models' "
            "(the old 'Cognitive Services' answers with an empty page)"
        )


def next_page(page: bytes) -> str | None:
    """Return the address of the page after this one."""
    return msgspec.json.decode(page).get("NextPageLink") or None


_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def _rows(page: bytes, source: str) -> list[Mapping[str, Any]]:
    try:
        found = _decoder.decode(page)
    except msgspec.DecodeError as error:
        raise UsageError(f"{source}: not a page of the Retail Prices API: {error}") from None
    rows = found.get("Items")
    if not isinstance(rows, list):
        raise UsageError(f"{source}: expected a page of the Retail Prices API with Items")
    return rows  # pyright: ignore[reportUnknownVariableType] - strangers' JSON; every field is read by name below


def _item(row: Mapping[str, Any]) -> Item:
    return Item(
        meter_id=str(row.get("meterId") or ""),
        meter=str(row.get("meterName") or ""),
        product=str(row.get("productName") or ""),
        region=str(row.get("armRegionName") or ""),
        unit=str(row.get("unitOfMeasure") or ""),
        price=Decimal(str(row.get("retailPrice", row.get("unitPrice", 0)))),
        currency=str(row.get("currencyCode") or ""),
        effective_from=str(row.get("effectiveStartDate") or ""),
        kind=str(row.get("type") or ""),
    )


def compare(table: RateTable, found: Iterable[Item]) -> Comparison:
    """Compare the list with the table, through the meter ids and names the table carries."""
    wanted = list(_references(table))
    by_id: dict[str, list[tuple[str, Rate, str, Meter]]] = {}
    for path, rate, name, meter in wanted:
        for key in (meter.azure_meter_id, meter.azure_meter):
            if key:
                by_id.setdefault(key.lower(), []).append((path, rate, name, meter))
    changes: list[Change] = []
    unmapped: list[tuple[Item, str]] = []
    seen: set[str] = set()
    same = 0
    for item in found:
        if item.kind not in ("", "Consumption"):
            continue
        rows = [
            row
            for row in by_id.get(item.meter_id.lower(), by_id.get(item.meter.lower(), []))
            if _in_region(row[1], item)
        ]
        if not rows:
            unmapped.append((item, proposal(item)))
            continue
        for path, rate, name, meter in rows:
            seen.add(path)
            ours, theirs = _unit_price(meter), _item_price(item, METERS[name])
            if theirs is None:
                unmapped.append((item, f"unit {item.unit!r} does not fit {name}"))
            elif ours == theirs:
                same += 1
            else:
                changes.append(
                    Change(path=path, rate=rate.model, meter=name, item=item, ours=ours, theirs=theirs)
                )
    missing = tuple(
        f"{path}: {meter.azure_meter or meter.azure_meter_id}"
        for path, _, _, meter in wanted
        if path not in seen
    )
    return Comparison(same=same, changes=tuple(changes), missing=missing, unmapped=tuple(unmapped))


def _references(table: RateTable) -> Iterator[tuple[str, Rate, str, Meter]]:
    """Yield the meters that hold today and name an Azure meter."""
    for index, rate in enumerate(table.rows.rates):
        if rate.effective_to is None:
            for name, meter in rate.meters.items():
                if meter.price is not None and (meter.azure_meter_id or meter.azure_meter):
                    yield f"rates[{index}].meters.{name}", rate, name, meter


def _in_region(rate: Rate, item: Item) -> bool:
    return "*" in rate.region or not item.region or item.region in rate.region


def _unit_price(meter: Meter) -> Decimal:
    unit = UNITS[meter.per or "1"]
    return (meter.price or Decimal(0)).scaleb(-_power(unit.per)).normalize()


def _item_price(item: Item, dimension: str) -> Decimal | None:
    size, dimensions = UNIT_OF_MEASURE.get(item.unit, (0, ()))
    return item.price.scaleb(-_power(size)).normalize() if dimension in dimensions else None


def _power(size: int) -> int:
    """Units are powers of ten, so a price is moved by its point and nothing is rounded."""
    return len(str(size)) - 1


def proposal(item: Item) -> str:
    """Say what an item's name seems to mean; a person decides."""
    read = read_name(item.meter)
    if read.unread or read.meter is None:
        return read.unread or "no meter is known for it"
    if _item_price(item, METERS[read.meter]) is None:
        return f"unit {item.unit!r} does not fit {read.meter}"
    tier = "" if read.service_tier == "default" else f", {read.service_tier}"
    context = "" if read.context_tier == "*" else f", {read.context_tier} context"
    return (
        f"may be {read.meter} of {item.product} {read.model_words!r}, {read.deployment_type}{tier}{context}"
    )
