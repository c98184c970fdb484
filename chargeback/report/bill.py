"""The bill: calls grouped by any fields of a charge, money exact, and what is not certain always shown.

``bill`` groups calls in memory, for a replay without a ledger, which needs no database. Reports over a
ledger ask ``query``; both answer with the same ``Group``.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from chargeback.charge import Charge
from chargeback.errors import UsageError
from chargeback.journal.winner import Call
from chargeback.rates.faults import did_you_mean
from chargeback.rating import EXACT
from chargeback.tokens.notes import NOTES

LOWER_BOUNDS = frozenset(
    {name for name, note in NOTES.items() if note.grade == "lower_bound"}
    | {"body_missing", "end_of_input", "join_timeout"}
)
"""Notes that say a call may have cost more than is billed."""
UPPER_BOUNDS = frozenset(
    {name for name, note in NOTES.items() if note.grade == "upper_bound"} | {"upper_bound"}
)
"""Notes that say a call may have cost less."""


class Key(Struct, frozen=True):
    """What a user may group by: the answer of a charge, and the same in SQL."""

    of: Callable[[Charge], str | None]
    sql: str


def _moment(charge: Charge) -> datetime | None:
    return charge.occurred_at or charge.enqueued_at


def _at(pattern: str) -> Key:
    return Key(
        lambda charge: moment.strftime(pattern) if (moment := _moment(charge)) else None,
        f"strftime(\"at\", '{pattern}')",
    )


def _field(name: str) -> Key:
    return Key(lambda charge: getattr(charge, name), f'"{name}"')


# Days, hours and months are UTC.
KEYS: dict[str, Key] = {
    "subscription": _field("subscription_id"),
    "app": _field("app_id"),
    "deployment": _field("deployment"),
    "cost-centre": _field("cost_centre"),
    "model": _field("model"),
    "product": _field("product"),
    "operation": _field("operation"),
    "subscription-name": _field("subscription_name"),
    "account": _field("account"),
    "type": _field("deployment_type"),
    "region": _field("region"),
    "tier": _field("service_tier"),
    "tenant": _field("tenant_id"),
    "user": _field("end_user_id"),
    "rating": _field("rating"),
    "reason": _field("rating_reason"),
    "source": _field("usage_source"),
    "format": _field("source_format"),
    "table": _field("rate_table_version"),
    "month": _at("%Y-%m"),
    "day": _at("%Y-%m-%d"),
    "hour": _at("%Y-%m-%dT%H:00Z"),
}
TAG = "tag:"
"""``tag:NAME`` groups by the value of a tag."""


class Group(Struct, kw_only=True):
    """One row of the bill. Money sums what has a price; calls without one are counted beside it."""

    keys: tuple[str | None, ...]
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal = Decimal(0)
    """Of the calls, at the table's prices."""
    markup: Decimal = Decimal(0)
    pool_cost: Decimal = Decimal(0)
    """Shares of pools, used and idle."""
    billed: Decimal = Decimal(0)
    """All three."""
    estimated: int = 0
    """Calls whose tokens we counted."""
    estimated_cost: Decimal = Decimal(0)
    truncated: int = 0
    lower_bound: int = 0
    """Calls that may have cost more than is billed."""
    upper_bound: int = 0
    """Calls that may have cost less."""
    unpriced: int = 0
    unmetered: int = 0
    pooled: int = 0
    not_billable: int = 0
    conflicts: int = 0
    corrections: int = 0
    """Of months that are closed."""


NUMBERS = Group.__struct_fields__[1:]


def key_of(name: str) -> Key:
    """Return a key by its name. Raises UsageError for one nobody knows."""
    if name.startswith(TAG) and len(name) > len(TAG):
        tag = name.removeprefix(TAG)
        return Key(lambda charge: (charge.tags or {}).get(tag), f"tags[{_text(tag)}]")
    if name not in KEYS:
        guess = did_you_mean(name, KEYS) or f"; known are {', '.join(KEYS)}, tag:NAME"
        raise UsageError(f"--by: unknown key {name!r}{guess}")
    return KEYS[name]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def keys_of(by: str) -> tuple[str, ...]:
    """Read ``--by subscription,app``. Raises UsageError for a key nobody knows."""
    keys = tuple(key for key in re.split(r"\s*,\s*", by.strip()) if key)
    if not keys:
        raise UsageError(f"--by: expected keys separated by commas; known are {', '.join(KEYS)}, tag:NAME")
    for key in keys:
        key_of(key)
    return keys


def bill(calls: Iterable[Call], keys: Sequence[str]) -> list[Group]:
    """Group and add up; sorted by cost, the largest first, then by name."""
    answers = [key_of(key).of for key in keys]
    groups: dict[tuple[str | None, ...], Group] = {}
    for call in calls:
        values = tuple(answer(call.charge) for answer in answers)
        _add(groups.setdefault(values, Group(keys=values)), call)
    return in_order(groups.values())


def in_order(groups: Iterable[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: (-group.billed, [value or "" for value in group.keys]))


def total(groups: Iterable[Group]) -> Group:
    """Add the groups up to one line."""
    whole = Group(keys=())
    for group in groups:
        for name in NUMBERS:
            mine, more = getattr(whole, name), getattr(group, name)
            setattr(whole, name, EXACT.add(mine, more) if isinstance(more, Decimal) else mine + more)
    return whole


def share(part: Decimal | int, whole: Decimal | int) -> str:
    """Show a share for people; what is there never reads as 0 %."""
    if not part or not whole:
        return "0 %"
    percent = float(part) / float(whole) * 100
    return f"{percent:.1f} %" if abs(percent) >= 0.05 else "< 0.1 %"


def _add(group: Group, call: Call) -> None:
    charge = call.charge
    cost = charge.total_cost or Decimal(0)
    notes = set(charge.usage_notes)
    group.calls += 1
    group.prompt_tokens += charge.prompt_tokens or 0
    group.completion_tokens += charge.completion_tokens or 0
    group.cost = EXACT.add(group.cost, cost)
    group.billed = EXACT.add(group.billed, cost)
    group.truncated += charge.truncated
    group.lower_bound += charge.truncated or not notes.isdisjoint(LOWER_BOUNDS)
    group.upper_bound += not notes.isdisjoint(UPPER_BOUNDS)
    group.conflicts += call.conflict
    if charge.usage_source == "estimated":
        group.estimated += 1
        group.estimated_cost = EXACT.add(group.estimated_cost, cost)
    if charge.rating != "priced":
        setattr(group, charge.rating, getattr(group, charge.rating) + 1)


def currencies(charges: Iterable[Charge]) -> set[str]:
    """Return the currencies of the charges; adding up more than one would be nonsense."""
    return {charge.currency for charge in charges if charge.currency}
