"""One exchange to one charge: measure it, rate it, assign it, and keep where it came from."""

from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec

from chargeback.charge import Charge, charge_id, rank, row_id
from chargeback.exchange import Exchange, Place
from chargeback.facts import Facts
from chargeback.metering import Measured, measure, request_body
from chargeback.rates.routes import route
from chargeback.rates.table import Assignment, RateTable
from chargeback.rates.words import ZERO
from chargeback.rating import EXACT, FUTURE, Rated, ahead, rate, unrated
from chargeback.usage import Usage, counts_of

# Meters whose cost belongs to the prompt begin so; every other meter's belongs to the completion.
PROMPT_METERS = ("input_", "cache_")
# What a request may say without asking for a tier.
_NO_TIER = (None, "auto")
_add = EXACT.add  # a context looks its methods up slowly


def bill(exchange: Exchange, place: Place, table: RateTable | None) -> Charge:
    """Return the call's charge; priced or not, it is on the bill."""
    event = place.event
    at = exchange.facts.occurred_at or event.enqueued_at
    hub = event.stream.event_hub
    measured = measure(exchange, lambda facts: route(table, facts, at, hub).model if table and at else None)
    measured = _with_deployment(measured, table)
    skew = ahead(exchange.facts.occurred_at, event.enqueued_at)
    rated = _rated(measured, table, at, hub, future=skew is not None and skew > FUTURE)
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


def _rated(
    measured: Measured, table: RateTable | None, at: datetime | None, event_hub: str, *, future: bool
) -> Rated:
    if at is None or future:
        reason = "future_time" if future else "no_time"
        return unrated(measured.facts, reason)
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
    stream = event.stream
    in_order: tuple[Any, ...] = (
        charge_id(facts, exchange.message_id, event, place.index, by_object=measured.by_object),
        row_id(event, place.index),
        facts.occurred_at,
        event.enqueued_at,
        assigned.subscription_id,
        assigned.subscription_name,
        *_caller(facts),
        assigned.cost_centre,
        rated.account,
        rated.deployment,
        rated.deployment_type,
        rated.model,
        facts.operation or "unknown",
        facts.api_version,
        rated.region,
        *_answer(facts),
        measured.truncated,
        facts.request_id,
        facts.response_id,
        usage.source,
        _notes(usage, rated, facts, exchange.request, event.enqueued_at),
        *counts_of(usage),
        usage.by_meter or None,
        rated.lines,
        *_sums(rated),
        table.currency if table else None,
        table.version if table else None,
        rated.rating,
        rated.reason,
        exchange.source_format,
        stream.namespace,
        stream.event_hub,
        stream.partition,
        event.sequence_number,
        place.index,
        rank(truncated=measured.truncated, source=usage.source, event=event, index=place.index),
    )
    return Charge(*in_order)


_caller = attrgetter(
    "subscription_key_id", "product", "app_id", "tenant_id", "end_user_id", "client_ip", "tags"
)
_answer = attrgetter("backend", "http_status", "service_tier", "spillover_from", "streamed")


def _notes(
    usage: Usage, rated: Rated, facts: Facts, request: Any, enqueued_at: datetime | None
) -> tuple[str, ...]:
    notes = (*usage.notes, *rated.notes)
    if facts.occurred_at is None:
        notes += ("event_time_unknown",)
    elif ahead(facts.occurred_at, enqueued_at) is not None:
        notes += ("event_time_ahead",)
    if _served_otherwise(facts.service_tier, request):
        notes += ("tier_differs",)
    return tuple(sorted(set(notes))) if len(notes) > 1 else notes


def _served_otherwise(served: str | None, request: Any) -> bool:
    """Tell whether the answer's tier is not the one the request asked for; the answer's is billed."""
    if served is None or (isinstance(request, str) and '"service_tier"' not in request):
        return False  # a search is cheap, and hardly a request names a tier
    asked = (request_body(request) or {}).get("service_tier")
    return isinstance(asked, str) and asked not in (*_NO_TIER, served)


def _sums(rated: Rated) -> tuple[Decimal, Decimal, Decimal] | tuple[None, None, None]:
    """Add up what the prompt cost, what the completion cost, and both; None without a price."""
    if rated.rating != "priced":
        return None, None, None
    prompt = completion = ZERO
    for line in rated.lines:
        if line.meter.startswith(PROMPT_METERS):
            prompt = _add(prompt, line.cost)
        else:
            completion = _add(completion, line.cost)
    return prompt, completion, _add(prompt, completion)


def marked_duplicate(charge: Charge, first: Charge) -> Charge:
    """Return the charge, saying which row of the same call it repeats."""
    return msgspec.structs.replace(charge, duplicate_of=first.row_id)
