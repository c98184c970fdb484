"""What both sides are brought to: quantities by day, deployment and meter; and money where there is any."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from msgspec import Struct

from chargeback.rating import EXACT


class Cell(Struct, frozen=True, order=True):
    """``deployment`` in lower case; ``*`` where the source does not tell it."""

    day: date
    deployment: str
    meter: str
    """``prompt``, ``completion``, ``total``, ``requests``, or a meter of the rate table for invoices."""


class Count(Struct, frozen=True):
    quantity: Decimal = Decimal(0)
    money: Decimal | None = None

    def plus(self, other: "Count") -> "Count":
        money = self.money if other.money is None else EXACT.add(self.money or Decimal(0), other.money)
        return Count(EXACT.add(self.quantity, other.quantity), money)


def summed(parts: Iterable[tuple[Cell, Count]]) -> dict[Cell, Count]:
    """Add up what falls into one cell."""
    found: defaultdict[Cell, Count] = defaultdict(Count)
    for cell, count in parts:
        found[cell] = found[cell].plus(count)
    return dict(found)
