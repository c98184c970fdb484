"""One exchange to one charge: measure it, rate it, assign it, and keep where it came from."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import Any

import msgspec

from chargeback.charge import Charge, Line, charge_id, rank, row_id
from chargeback.exchange import Exchange, Place
from chargeback.facts import FACT_FIELDS, Facts
from chargeback.metering import Measured, measure
from chargeback.rates.routes import route
from chargeback.rates.table import Assignment, RateTable
from chargeback.rating import EXACT, Rated, rate
from chargeback.usage import COUNTS, Usage

# Meters whose cost belongs to the prompt begin so; every other meter's belongs to the completion.
PROMPT_METERS = ("input_", "cache_")
_ROUTED = ("account", "deployment", "model", "region")


def bill(exchange: Exchange, place: Place, table: RateTable | None) -> Charge:
    """Return the call's charge; priced or not, it is on the bill."""
    event = place.event
    at = exchange.facts.occurred_at or event.enqueued_at
    hub = event.stream.event_hub
    measured = measure(exchange, lambda facts: route(table, facts, at, hub).model if table and at else None)
    measured = _with_deployment(measured, table)
    rated = _rated(measured, table, at, hub)
    assigned = assign(measured.facts, table, at)
    return _charge(exchange, place, measured, rated, assigned, table)


def _with_deployment(measured: Measured, table: RateTable | None) -> Measured:
    """Take the name a Responses answer gives for its model as the deployment, where no model has it.

    Azure answers with the name it was asked by; a request that only fetches a result does not repeat it.
    """
    facts = measured.facts
    if facts.operation != "responses" or facts.deployment or not facts.model or table is None:
        return measured
    if table.model_named(facts.model) is not None:
        return measured
    named = msgspec.structs.replace(facts, deployment=facts.model, model=None)
    return msgspec.structs.replace(measured, facts=named)


def _rated(measured: Measured, table: RateTable | None, at: datetime | None, event_hub: str) -> Rated:
    if at is None:
        return Rated(rating="unpriced", reason="no_time", model=measured.facts.model)
    rated = rate(measured.usage, measured.facts, table, at=at, event_hub=event_hub, error=measured.error)
    verdict = measured.verdict
    if verdict is None:
        return rated
    return msgspec.structs.replace(
        rated, rating=verdict.rating, reason=verdict.reason, lines=(), missing_meters=()
    )


def assign(facts: Facts, table: RateTable | None, at: datetime | None) -> Assignment:
    """Say who pays. Without a table or a time nothing can be folded, so the key's own name stands."""
    if table is not None and at is not None:
        return table.assign(facts, at)
    key = facts.subscription_key_id
    return Assignment(facts.subscription_id or (f"key-{key}" if key else None), facts.subscription_name, None)


def _charge(
    exchange: Exchange,
    place: Place,
    measured: Measured,
    rated: Rated,
    assigned: Assignment,
    table: RateTable | None,
) -> Charge:
    event, facts, usage = place.event, measured.facts, measured.usage
    known: dict[str, Any] = {name: getattr(facts, name) for name in FACT_FIELDS}
    known |= {name: value for name in _ROUTED if (value := getattr(rated, name)) is not None}
    known |= {
        "operation": facts.operation or "unknown",
        "subscription_id": assigned.subscription_id,
        "subscription_name": assigned.subscription_name,
    }
    has_price = rated.rating == "priced"
    return Charge(
        **known,
        **{name: getattr(usage, name) for name in COUNTS},
        quantities=usage.by_meter or None,
        charge_id=charge_id(facts, exchange.message_id, event, place.index, by_object=measured.by_object),
        row_id=row_id(event, place.index),
        enqueued_at=event.enqueued_at,
        cost_centre=assigned.cost_centre,
        deployment_type=rated.deployment_type,
        truncated=measured.truncated,
        usage_source=usage.source,
        usage_notes=_notes(usage, rated, facts),
        lines=rated.lines,
        prompt_cost=_sum(line for line in rated.lines if _is_prompt(line)) if has_price else None,
        completion_cost=_sum(line for line in rated.lines if not _is_prompt(line)) if has_price else None,
        total_cost=_sum(rated.lines) if has_price else None,
        currency=table.currency if table else None,
        rate_table_version=table.version if table else None,
        rating=rated.rating,
        rating_reason=rated.reason,
        source_format=exchange.source_format,
        namespace=event.stream.namespace,
        event_hub=event.stream.event_hub,
        partition=event.stream.partition,
        sequence_number=event.sequence_number,
        index=place.index,
        rank=rank(truncated=measured.truncated, source=usage.source, event=event, index=place.index),
    )


def _notes(usage: Usage, rated: Rated, facts: Facts) -> tuple[str, ...]:
    timeless = () if facts.occurred_at else ("event_time_unknown",)
    return tuple(sorted({*usage.notes, *rated.notes, *timeless}))


def _is_prompt(line: Line) -> bool:
    return line.meter.startswith(PROMPT_METERS)


def _sum(lines: Iterable[Line]) -> Decimal:
    return reduce(EXACT.add, (line.cost for line in lines), Decimal(0))


def marked_duplicate(charge: Charge, first: Charge) -> Charge:
    """Return the charge, saying which row of the same call it repeats."""
    return msgspec.structs.replace(charge, duplicate_of=first.row_id)
