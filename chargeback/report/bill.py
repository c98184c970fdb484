"""The bill: calls grouped by any fields of a charge, money exact, and what is not certain always shown."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from chargeback.charge import Charge
from chargeback.errors import UsageError
from chargeback.journal.winner import Call
from chargeback.rating import EXACT

# What a user may group by -> how a charge answers; day and hour are UTC.
KEYS: dict[str, Callable[[Charge], str | None]] = {
    "subscription": lambda charge: charge.subscription_id,
    "app": lambda charge: charge.app_id,
    "deployment": lambda charge: charge.deployment,
    "cost-centre": lambda charge: charge.cost_centre,
    "model": lambda charge: charge.model,
    "product": lambda charge: charge.product,
    "operation": lambda charge: charge.operation,
    "rating": lambda charge: charge.rating,
    "source": lambda charge: charge.usage_source,
    "format": lambda charge: charge.source_format,
    "day": lambda charge: charge.occurred_at.date().isoformat() if charge.occurred_at else None,
    "hour": lambda charge: charge.occurred_at.strftime("%Y-%m-%dT%H:00Z") if charge.occurred_at else None,
}


class Group(Struct, kw_only=True):
    """One row of the bill. ``cost`` sums the priced calls only; the others are counted beside it."""

    keys: tuple[str | None, ...]
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal = Decimal(0)
    estimated: int = 0
    """Calls whose tokens we counted."""
    truncated: int = 0
    unpriced: int = 0
    unmetered: int = 0
    pooled: int = 0
    not_billable: int = 0
    conflicts: int = 0


def keys_of(by: str) -> tuple[str, ...]:
    """Read ``--by subscription,app``. Raises UsageError for a key nobody knows."""
    keys = tuple(key.strip() for key in by.split(",") if key.strip())
    unknown = [key for key in keys if key not in KEYS]
    if unknown or not keys:
        raise UsageError(
            f"--by: unknown key {', '.join(map(repr, unknown)) or 'none given'}; known are {', '.join(KEYS)}"
        )
    return keys


def bill(calls: Iterable[Call], keys: Sequence[str]) -> list[Group]:
    """Group and add up; sorted by cost, the largest first, then by name."""
    groups: dict[tuple[str | None, ...], Group] = {}
    for call in calls:
        values = tuple(KEYS[key](call.charge) for key in keys)
        _add(groups.setdefault(values, Group(keys=values)), call)
    return sorted(groups.values(), key=lambda group: (-group.cost, [value or "" for value in group.keys]))


def total(groups: Iterable[Group]) -> Group:
    """Add the groups up to one line."""
    whole = Group(keys=())
    for group in groups:
        for name in Group.__struct_fields__[1:]:
            setattr(whole, name, getattr(whole, name) + getattr(group, name))
    return whole


def _add(group: Group, call: Call) -> None:
    charge = call.charge
    group.calls += 1
    group.prompt_tokens += charge.prompt_tokens or 0
    group.completion_tokens += charge.completion_tokens or 0
    group.cost = EXACT.add(group.cost, charge.total_cost or 0)
    group.estimated += charge.usage_source == "estimated"
    group.truncated += charge.truncated
    group.conflicts += call.conflict
    if charge.rating != "priced":
        setattr(group, charge.rating, getattr(group, charge.rating) + 1)


def currencies(charges: Iterable[Charge]) -> set[str]:
    """Return the currencies of the charges; adding up more than one would be nonsense."""
    return {charge.currency for charge in charges if charge.currency}
