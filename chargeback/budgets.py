"""What a cost centre may spend in a month against what it did: pure, the month and the sums come in."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct

from chargeback.rates.rows import Budget, Rows

THRESHOLDS = (80, 100)
"""Percent of a budget at which a ``Chargeback Budget`` event goes out, once a month each."""


class Month(Struct, frozen=True):
    name: str
    """Such as 2026-11."""
    start: datetime
    end: datetime


class Standing(Struct, frozen=True, kw_only=True):
    """One cost centre in one month."""

    cost_centre: str
    month: str
    amount: Decimal
    spent: Decimal

    @property
    def percent(self) -> float:
        return float(Fraction(self.spent) / Fraction(self.amount) * 100)

    @property
    def reached(self) -> tuple[int, ...]:
        """Return the thresholds that spending has passed; exact, at the very amount it has."""
        share = Fraction(self.spent) * 100 / Fraction(self.amount)
        return tuple(each for each in THRESHOLDS if share >= each)

    @property
    def exceeded(self) -> bool:
        return self.spent > self.amount


def standings(
    rows: Rows, months: Iterable[Month], spent: Mapping[tuple[str, str], Decimal]
) -> Iterator[Standing]:
    """Yield a standing for every budget that holds in a month; ``spent`` is by cost centre and month."""
    for month in months:
        for budget in rows.budgets:
            if _holds(budget, month):
                already = spent.get((budget.cost_centre, month.name), Decimal(0))
                yield Standing(
                    cost_centre=budget.cost_centre, month=month.name, amount=budget.amount, spent=already
                )


def _holds(budget: Budget, month: Month) -> bool:
    """A budget that changes within a month counts as it is at the month's end."""
    last = month.end - timedelta(microseconds=1)
    return (budget.start is None or budget.start <= last) and (budget.to is None or last < budget.to)
