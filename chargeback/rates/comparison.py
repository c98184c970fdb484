"""A price list beside a rate table: what changed, and what could not be mapped. Never a guess.

    items ──meter id or name──> a rate row and meter of the table, or the reason why not

A meter is mapped by the ``azure_meter_id`` or the exact ``azure_meter`` of a rate; the words of its name
(``meter_names``) are read only to *propose* what a meter without one may be.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from chargeback.rates.meter_names import read_name
from chargeback.rates.retail import Item, of_one
from chargeback.rates.rows import Meter, Rate
from chargeback.rates.table import RateTable
from chargeback.rates.words import METERS, UNITS, ZERO


class Change(Struct, frozen=True):
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


class _Reference(Struct, frozen=True):
    """A meter of the table that names an Azure meter."""

    path: str
    rate: Rate
    name: str
    meter: Meter

    @property
    def per_one(self) -> Decimal:
        return of_one(self.meter.price or ZERO, UNITS[self.meter.per or "1"].per)


def compare(table: RateTable, found: Iterable[Item]) -> Comparison:
    """Compare the list with the table, through the meter ids and names the table carries."""
    references = list(_references(table))
    named = _by_name(references)
    changes: list[Change] = []
    unmapped: list[tuple[Item, str]] = []
    seen: set[str] = set()
    same = 0
    for item in found:
        if item.kind not in ("", "Consumption"):
            continue
        meant = _meant(item, named)
        if not meant:
            unmapped.append((item, proposal(item)))
        for each in meant:
            seen.add(each.path)
            ours, theirs = each.per_one, item.per_one(METERS[each.name])
            if theirs is None:
                unmapped.append((item, f"unit {item.unit!r} does not fit {each.name}"))
            elif ours == theirs:
                same += 1
            else:
                changes.append(Change(each.path, each.rate.model, each.name, item, ours, theirs))
    missing = tuple(
        f"{each.path}: {each.meter.azure_meter or each.meter.azure_meter_id}"
        for each in references
        if each.path not in seen
    )
    return Comparison(same=same, changes=tuple(changes), missing=missing, unmapped=tuple(unmapped))


def _references(table: RateTable) -> Iterator[_Reference]:
    """Yield the meters that hold today and name an Azure meter."""
    for index, rate in enumerate(table.rows.rates):
        if rate.effective_to is None:
            for name, meter in rate.meters.items():
                if meter.price is not None and (meter.azure_meter_id or meter.azure_meter):
                    yield _Reference(f"rates[{index}].meters.{name}", rate, name, meter)


def _by_name(references: Iterable[_Reference]) -> Mapping[str, Sequence[_Reference]]:
    found: defaultdict[str, list[_Reference]] = defaultdict(list)
    for each in references:
        for key in (each.meter.azure_meter_id, each.meter.azure_meter):
            if key:
                found[key.lower()].append(each)
    return found


def _meant(item: Item, named: Mapping[str, Sequence[_Reference]]) -> list[_Reference]:
    """Return what an item is the price of; its id goes before its name."""
    known = named.get(item.meter_id.lower()) or named.get(item.meter.lower()) or ()
    return [
        each
        for each in known
        if "*" in each.rate.region or not item.region or item.region in each.rate.region
    ]


def proposal(item: Item) -> str:
    """Say what an item's name seems to mean; a person decides."""
    read = read_name(item.meter)
    if read.unread or read.meter is None:
        return read.unread or "no meter is known for it"
    if item.per_one(METERS[read.meter]) is None:
        return f"unit {item.unit!r} does not fit {read.meter}"
    tier = "" if read.service_tier == "default" else f", {read.service_tier}"
    context = "" if read.context_tier == "*" else f", {read.context_tier} context"
    return (
        f"may be {read.meter} of {item.product} {read.model_words!r}, {read.deployment_type}{tier}{context}"
    )
