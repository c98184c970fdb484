"""Shares of pools as entries: every hour's cost to the calls of that hour, idle hours to whom the policy says.

pool, hour ──cost_between──> amount ──split_idle──> used ──allocate──> one entry a consumer and hour
                                                    idle ──by policy──> one entry a payer and day
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from chargeback.pools import SCALE, add_up, allocate, cost_between, idle_shares, split_idle, units_between
from chargeback.rates.rows import Pool
from chargeback.rates.table import RateTable
from chargeback.report.columns import CHARGE_COLUMNS, MONEY, listed, quoted, text
from chargeback.report.span import instant
from chargeback.report.sql import Database

# What makes a consumer: every key a report groups by. Shares are cut no finer than this.
CONSUMER = (
    "cost_centre",
    "subscription_id",
    "subscription_name",
    "app_id",
    "product",
    "tags",
    "account",
    "deployment",
    "deployment_type",
    "model",
    "operation",
    "region",
)
COLUMNS = {
    "kind": "VARCHAR",
    "at": "TIMESTAMP",
    "pool": "VARCHAR",
    "pool_cost": MONEY,
    "weight": "DECIMAL(38,18)",
    **{name: CHARGE_COLUMNS[name] for name in CONSUMER},
}
HOUR = timedelta(hours=1)
_HOURLY = ("ptu", "hosting")
Consumer = tuple[Any, ...]


def fill(db: Database, table: RateTable, calls: str, start: datetime, end: datetime) -> None:
    """Insert into ``pool_entries`` what the pools cost from ``start`` to ``end`` (aware, whole hours)."""
    with tempfile.NamedTemporaryFile(suffix=".ndjson") as raw:
        for pool in table.rows.pools:
            for row in _of_pool(db, pool, table, calls, start, end):
                raw.write(msgspec.json.encode(row) + b"\n")
        raw.flush()
        db.run(
            f"INSERT INTO pool_entries SELECT {', '.join(map(quoted, COLUMNS))} FROM read_json({text(raw.name)}, "
            f"format = 'newline_delimited', columns = {listed(COLUMNS)})"
        )


def prepare(db: Database) -> None:
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in COLUMNS.items())
    db.run(f"CREATE TABLE pool_entries ({columns})")


def _of_pool(
    db: Database, pool: Pool, table: RateTable, calls: str, start: datetime, end: datetime
) -> Iterator[dict[str, Any]]:
    weights = _weights(db, pool, table, calls, start, end)
    idle_by_day: defaultdict[datetime, list[Decimal]] = defaultdict(list)
    used_by_centre: defaultdict[str, list[Decimal]] = defaultdict(list)
    unallocated = table.rows.policy.unallocated
    for begin, until in _slots(pool, start, end):
        amount = cost_between(pool, begin, until)
        mine = weights.get(begin.replace(tzinfo=None), {})
        slot = split_idle(amount, _total(mine), _capacity(pool, begin, until))
        idle_by_day[_day(begin)].append(slot.idle)
        if slot.used:
            for consumer, share in allocate(slot.used, mine).items():
                used_by_centre[consumer[0] or unallocated].append(share)
                yield _entry("pool", begin, pool, share, consumer, mine[consumer])
    used = {centre: add_up(shares) for centre, shares in used_by_centre.items()}
    for day, parts in idle_by_day.items():
        for centre, share in idle_shares(pool, add_up(parts), used, unallocated).items():
            yield _entry("idle", day, pool, share, (centre, *(None,) * (len(CONSUMER) - 1)), None)


def _slots(pool: Pool, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield hours for what is paid by the hour, and calendar months for everything else."""
    begin = start
    while begin < end:
        until = min(begin + HOUR if pool.kind in _HOURLY else _next_month(begin), end)
        yield begin, until
        begin = until


def _next_month(at: datetime) -> datetime:
    return datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)


def _total(weights: dict[Consumer, Decimal]) -> Fraction:
    return sum((Fraction(weight) for weight in weights.values()), Fraction(0))


def _capacity(pool: Pool, begin: datetime, until: datetime) -> Fraction | None:
    if pool.capacity is None:
        return None
    hours = Fraction(int((until - begin).total_seconds()), 3600)
    return pool.capacity * units_between(pool, begin, until) * hours


def _weights(
    db: Database, pool: Pool, table: RateTable, calls: str, start: datetime, end: datetime
) -> dict[datetime, dict[Consumer, Decimal]]:
    """Return start of a slot -> consumer -> weight."""
    if pool.driver == "fixed":
        centres = {(centre, *(None,) * (len(CONSUMER) - 1)): share for centre, share in pool.shares.items()}
        return {begin.replace(tzinfo=None): dict(centres) for begin, _ in _slots(pool, start, end)}
    size = "hour" if pool.kind in _HOURLY else "month"
    slot = f"greatest(date_trunc('{size}', \"at\"), {instant(start)})"
    tags = "CASE WHEN tags IS NULL THEN NULL ELSE to_json(tags)::VARCHAR END"
    consumer = ", ".join(tags if name == "tags" else name for name in CONSUMER)
    found: defaultdict[datetime, dict[Consumer, Decimal]] = defaultdict(dict)
    rows = db.rows(
        f"SELECT ({slot})::TIMESTAMP, {consumer}, sum({_driver(pool, table)}) AS weight FROM {calls} "
        f'WHERE {_uses(pool)} AND "at" >= {instant(start)} AND "at" < {instant(end)} '
        "GROUP BY ALL HAVING weight > 0 ORDER BY ALL"
    )
    for at, *who, weight in rows:
        found[at][tuple(who)] = Decimal(weight)
    return found


def _uses(pool: Pool) -> str:
    rating = "rating = 'pooled'" if pool.kind == "ptu" else "rating IN ('priced', 'pooled')"
    if not pool.deployments:
        return rating
    pairs = ", ".join(
        f"({text(each.account.lower())}, {text(each.deployment.lower())})" for each in pool.deployments
    )
    return f"{rating} AND (lower(account), lower(deployment)) IN ({pairs})"


def _driver(pool: Pool, table: RateTable) -> str:
    prompt, completion = "coalesce(prompt_tokens, 0)", "coalesce(completion_tokens, 0)"
    if pool.driver == "weighted_tokens":
        cases = " ".join(
            f"WHEN {text(name)} THEN {model.ptu_output_weight:f}::DECIMAL(18,6)"
            for name, model in table.rows.models.items()
            if model.ptu_output_weight is not None
        )
        weight = f"CASE model {cases} ELSE 1 END" if cases else "1"
        return f"greatest({prompt} - coalesce(cached_tokens, 0), 0) + {completion} * ({weight})"
    return {
        "tokens": f"{prompt} + {completion}",
        "calls": "1",
        "cost": "coalesce(total_cost, 0)",
    }[pool.driver]


def _entry(
    kind: str, at: datetime, pool: Pool, share: Decimal, consumer: Consumer, weight: Decimal | None
) -> dict[str, Any]:
    told = dict(zip(CONSUMER, consumer, strict=True))
    if told["tags"] is not None:
        told["tags"] = msgspec.json.decode(told["tags"])
    return {
        "kind": kind,
        "at": at.isoformat(),
        "pool": pool.id,
        "pool_cost": f"{share:.{SCALE}f}",
        "weight": None if weight is None else f"{weight:f}",
        **told,
    }


def _day(at: datetime) -> datetime:
    return datetime(at.year, at.month, at.day, tzinfo=UTC)
