"""Azure's Retail Prices pages as items: what one meter costs, of how many of what, since when.

A page is a stranger's JSON. An item without a price, or with one that is no number, is an error: it must
not pass for free.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import Struct

from chargeback.errors import UsageError

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

    def per_one(self, dimension: str) -> Decimal | None:
        """Return the price of one ``tokens``, ``seconds`` ...; None where the item counts something else."""
        size, dimensions = UNIT_OF_MEASURE.get(self.unit, (0, ()))
        return of_one(self.price, size) if dimension in dimensions else None


def of_one(price: Decimal, size: int) -> Decimal:
    """Return the price of one of ``size``, a power of ten: the point is moved, and nothing is rounded."""
    return price.scaleb(1 - len(str(size))).normalize()


def items(pages: Iterable[bytes], source: str) -> Iterator[Item]:
    """Yield the prices of saved pages. Raises UsageError when there is none: a wrong filter answers so."""
    count = 0
    for page in pages:
        for row in _rows(page, source):
            count += 1
            yield _item(row, source)
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


def _item(row: Mapping[str, Any], source: str) -> Item:
    return Item(
        meter_id=str(row.get("meterId") or ""),
        meter=str(row.get("meterName") or ""),
        product=str(row.get("productName") or ""),
        region=str(row.get("armRegionName") or ""),
        unit=str(row.get("unitOfMeasure") or ""),
        price=_price(row, source),
        currency=str(row.get("currencyCode") or ""),
        effective_from=str(row.get("effectiveStartDate") or ""),
        kind=str(row.get("type") or ""),
    )


def _price(row: Mapping[str, Any], source: str) -> Decimal:
    said = row.get("retailPrice", row.get("unitPrice"))
    try:
        price = Decimal(str(said))
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite():
        raise UsageError(
            f"{source}: meter {row.get('meterName')!r} ({row.get('meterId')}): expected a number as retailPrice, "
            f"got {said!r}; fetch the page again"
        )
    return price
