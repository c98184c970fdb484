"""One exchange to one charge: measure it, rate it, assign it, and keep where it came from."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from operator import attrgetter
from typing import Any

import msgspec

from chargeback.charge import Charge, charge_id, rank, row_id
from chargeback.exchange import Exchange, Place
from chargeback.facts import Facts
from chargeback.metering import Measured, measure_all, request_body
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


Call = tuple[Exchange, Place]


def bill(exchange: Exchange, place: Place, table: RateTable | None) -> Charge:
    """Return the call's charge; priced or not, it is on the bill."""
    return bill_all([(exchange, place)], table)[0]


def bill_all(calls: Sequence[Call], table: RateTable | None) -> list[Charge]:
    """Return the charges of calls, in their order; a step at a time, see ``pipeline``."""
    questions = [
        (exchange, partial(_model, place, table, _moment(exchange, place))) for exchange, place in calls
    ]
    measured = [_with_deployment(each, table) for each in measure_all(questions)]
    rated = [_rated(each, call, table) for each, call in zip(measured, calls, strict=True)]
    assigned = [assign(each.facts, table, _moment(*call)) for each, call in zip(measured, calls, strict=True)]
    return [_charge(*each, table) for each in zip(calls, measured, rated, assigned, strict=True)]


def _moment(exchange: Exchange, place: Place) -> datetime | None:
    return exchange.facts.occurred_at or place.event.enqueued_at


def _model(place: Place, table: RateTable | None, at: datetime | None, facts: Facts) -> str | None:
    """Return the model of the deployment the call went to."""
    return route(table, facts, at, place.event.stream.event_hub).model if table and at else None


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


def _rated(measured: Measured, call: Call, table: RateTable | None) -> Rated:
    exchange, place = call
    at = _moment(exchange, place)
    skew = ahead(exchange.facts.occurred_at, place.event.enqueued_at)
    if at is None:
        return unrated(measured.facts, "no_time")
    if skew is not None and skew > FUTURE:
        return unrated(measured.facts, "future_time")
    hub = place.event.stream.event_hub
    rated = rate(measured.usage, measured.facts, table, at=at, event_hub=hub, error=measured.error)
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
    call: Call, measured: Measured, rated: Rated, assigned: Assignment, table: RateTable | None
) -> Charge:
    exchange, place = call
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
