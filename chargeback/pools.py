"""What no single call causes, divided: one exact allocator, and what a pool costs between two instants.

Shares are cut to ``SCALE`` decimals and the rest goes, a last digit each, to those who lost most by the cut
(largest remainder). So the parts always add up to the whole, for any weights.

    amount of an hour = cost up to its end, rounded - cost up to its start, rounded

so the hours add up to the day, the days to the month and the months to the span, without a digit over.
"""

from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from math import lcm
from typing import TypeVar

from msgspec import Struct

from chargeback.errors import StopError
from chargeback.rates.rows import Pool, PoolAmount

K = TypeVar("K", bound=Hashable)

SCALE = 12
"""Decimals of a share: a millionth of a millionth of the currency."""


def allocate(amount: Decimal, weights: Mapping[K, Decimal | int]) -> dict[K, Decimal]:
    """Divide ``amount`` in proportion to ``weights``; the parts add up to it exactly.

    Equal remainders go by the order of the mapping. Weights are not negative, and one is above zero.
    """
    units = amount.scaleb(SCALE)
    if units != units.to_integral_value():
        raise StopError(
            f"amount {amount:f}: expected at most {SCALE} decimals, or its shares could not add up"
        )
    whole, sign = abs(int(units)), -1 if units < 0 else 1
    integers = _integers(weights)
    total = sum(integers.values())
    if total <= 0 or min(integers.values()) < 0:
        raise StopError(f"amount {amount:f}: expected weights of at least 0, one of them above 0")
    shares = {key: divmod(whole * weight, total) for key, weight in integers.items()}
    left = whole - sum(share for share, _ in shares.values())
    by_loss = sorted(shares, key=lambda key: -shares[key][1])
    more = set(by_loss[:left])
    return {key: Decimal(sign * (share + (key in more))).scaleb(-SCALE) for key, (share, _) in shares.items()}


def _integers(weights: Mapping[K, Decimal | int]) -> dict[K, int]:
    ratios = {key: weight.as_integer_ratio() for key, weight in weights.items()}
    common = lcm(*(below for _, below in ratios.values())) if ratios else 1
    return {key: above * (common // below) for key, (above, below) in ratios.items()}


def cost_between(pool: Pool, start: datetime, end: datetime) -> Decimal:
    """Return what the pool costs in ``[start, end)``; neighbouring spans add up exactly."""
    return _rounded(_cost_until(pool, end)) - _rounded(_cost_until(pool, start))


def units_between(pool: Pool, start: datetime, end: datetime) -> Fraction:
    """Return how many units the pool had in the mean of ``[start, end)``."""
    length = (end - start).total_seconds()
    unit_seconds = sum(
        (row.units or 0) * Fraction(_overlap(row, start, end))
        for row in pool.amounts
        if row.units is not None
    )
    return Fraction(unit_seconds) / Fraction(length)


def _overlap(row: PoolAmount, start: datetime, end: datetime) -> int:
    """Count the whole seconds both spans share."""
    until = end if row.to is None else min(row.to, end)
    return max(0, int((until - max(row.start, start)).total_seconds()))


def _cost_until(pool: Pool, instant: datetime) -> Fraction:
    return sum((_of_span(row, instant) for row in pool.amounts), Fraction(0))


def _of_span(row: PoolAmount, instant: datetime) -> Fraction:
    seconds = _overlap(row, row.start, instant)
    if row.amount is not None and row.to is not None:
        whole = int((row.to - row.start).total_seconds())
        return Fraction(row.amount) * seconds / whole
    return Fraction(row.hourly or 0) * (row.units or 0) * seconds / 3600


def _rounded(amount: Fraction) -> Decimal:
    scaled = amount * 10**SCALE
    return Decimal(round(scaled)).scaleb(-SCALE)  # round() of a Fraction is half-even


class Slot(Struct, frozen=True):
    """What was used of an amount, and what was not."""

    used: Decimal
    idle: Decimal


def split_idle(amount: Decimal, weight: Fraction, capacity: Fraction | None) -> Slot:
    """Part an amount by how much of the capacity was used; without a known capacity any use uses it all."""
    if weight <= 0:
        return Slot(Decimal(0), amount)
    if capacity is None or capacity <= 0 or weight >= capacity:
        return Slot(amount, Decimal(0))
    used = (Fraction(amount) * weight / capacity) * 10**SCALE
    part = Decimal(round(used)).scaleb(-SCALE)
    return Slot(part, amount - part)


def idle_shares(
    pool: Pool, idle: Decimal, used: Mapping[str, Decimal], unallocated: str
) -> dict[str, Decimal]:
    """Return who carries what nobody used, by the pool's policy: cost centre -> amount."""
    if not idle:
        return {}
    if pool.idle == "platform":
        return {pool.idle_cost_centre or unallocated: idle}
    weights = pool.shares if pool.idle == "fixed_share" else used
    if not any(weights.values()):
        return {unallocated: idle}
    return allocate(idle, weights)


def add_up(parts: Iterable[Decimal]) -> Decimal:
    """Sum exactly; the default context would round beyond 28 digits."""
    units = sum(int(part.scaleb(SCALE)) for part in parts)
    return Decimal(units).scaleb(-SCALE)


def to_cents(amount: Decimal, decimals: int = 2) -> Decimal:
    """Round an invoice line, the one place where money is rounded."""
    return amount.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN)
