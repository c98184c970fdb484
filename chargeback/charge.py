"""The immutable record of what one call cost, and why; and how a call and its rows are told apart."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from msgspec import Struct

from chargeback import usage
from chargeback.event import Event, Stream
from chargeback.facts import Facts
from chargeback.usage import SOURCES

Rating = Literal["priced", "pooled", "unpriced", "unmetered", "not_billable"]


class Line(Struct, frozen=True):
    """One meter of a charge: ``cost`` is exactly ``quantity * price / per``, never rounded."""

    meter: str
    quantity: Decimal
    unit: str
    """``tokens``, ``seconds``, ``characters``, ``hours`` or ``each``."""
    price: Decimal
    """Of ``per`` units."""
    per: int
    rate_id: str
    """Names the row of the rate table and its effective date."""
    cost: Decimal


class Charge(Struct, frozen=True, tag_field="row", tag="charge"):
    """One row of the bill. None is unknown, never 0; money is Decimal and a string in JSON.

    ``lines`` is the truth; ``prompt_cost``, ``completion_cost`` and ``total_cost`` are its sums, and None
    while the charge has no price. ``billing`` gives the fields by place: Python puts so many named ones into
    a dictionary first, which took longer than all the rest of the record.
    """

    # identity
    charge_id: str
    row_id: str
    """Names this row: stream, sequence number and index, the same on every redelivery."""
    occurred_at: datetime | None
    enqueued_at: datetime | None
    subscription_id: str | None
    subscription_name: str | None
    subscription_key_id: str | None
    product: str | None
    app_id: str | None
    tenant_id: str | None
    end_user_id: str | None
    client_ip: str | None
    tags: Mapping[str, str] | None
    cost_centre: str | None
    # route
    account: str | None
    deployment: str | None
    deployment_type: str | None
    model: str | None
    operation: str
    api_version: str | None
    region: str | None
    backend: str | None
    http_status: int | None
    service_tier: str | None
    spillover_from: str | None
    streamed: bool | None
    truncated: bool
    request_id: str | None
    response_id: str | None
    # usage
    usage_source: str
    usage_notes: tuple[str, ...]
    prompt_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    audio_prompt_tokens: int | None
    audio_completion_tokens: int | None
    total_tokens: int | None
    quantities: Mapping[str, Decimal] | None
    """By meter, what the counts above do not tell: pictures, seconds, characters, tokens of pictures."""
    # money
    lines: tuple[Line, ...]
    prompt_cost: Decimal | None
    completion_cost: Decimal | None
    total_cost: Decimal | None
    currency: str | None
    rate_table_version: str | None
    rating: Rating
    rating_reason: str | None
    # provenance
    source_format: str
    namespace: str
    event_hub: str
    partition: str
    sequence_number: int
    index: int
    rank: str
    """Winner rule as fixed-width digits: the smallest rank of a call gives usage and money."""
    duplicate_of: str | None = None


ID_DIGITS = 32

FETCHED_AGAIN = frozenset({"responses", "batch"})
"""Operations whose result a client may fetch again under the same provider id."""


def charge_id(
    facts: Facts, message_id: str | None, event: Event, index: int, *, by_object: bool = False
) -> str:
    """Name a call for ever, from what its events say and nothing else, so that every copy gets the same name.

    The first kind of id that is there wins; kind and scope are part of the name:

    request   the gateway's request id, also the correlation id of its log
    object    the provider's id of a result that can be fetched again, within its account
    message   the id a policy gave to the events it split a call into
    response  the provider's id, within subscription and UTC day: an answer from a cache repeats it
    event     the event's place: a redelivery has the same, a second event never

    ``by_object`` puts ``object`` first: for work that goes on in the background each request that asks
    for it has a request id of its own, and none of them is the call.
    """
    if by_object and facts.response_id:
        return _name("object", facts.account or "", facts.response_id)
    if facts.request_id:
        return _name("request", "", facts.request_id.lower())
    if facts.response_id and facts.operation in FETCHED_AGAIN:
        return _name("object", facts.account or "", facts.response_id)
    if message_id:
        return _name("message", "", message_id.lower())
    if facts.response_id:
        caller = facts.subscription_id or facts.subscription_key_id or facts.app_id or ""
        moment = facts.occurred_at or event.enqueued_at
        return _name("response", f"{caller}/{moment.date() if moment else ''}", facts.response_id)
    return _name("event", str(event.stream), f"{event.sequence_number}/{index}")


def row_id(event: Event, index: int) -> str:
    """Name one row of one call: stream, sequence number, index within the event."""
    return f"{_name_of(event.stream)}/{event.sequence_number}/{index}"


def rank(*, truncated: bool, source: str, event: Event, index: int) -> str:
    """Order the rows of one call as 32 digits; the smallest gives usage and money.

    Complete before truncated, then reported, gateway, estimated, missing, then the earliest by generation,
    partition, sequence number and index. Digits of fixed width sort alike as text and as a number, and
    32 of them still fit the decimals of Kusto (34) and DuckDB (38).
    """
    trust = _TRUST[source] + (len(SOURCES) if truncated else 0)
    # zfill and not a format: this runs once a row, and formats take four times as long
    return f"{trust}{_digits_of(event.stream)}{str(event.sequence_number).zfill(18)}{str(min(index, 9999)).zfill(4)}"


_TRUST = {source: place for place, source in enumerate(SOURCES)}


# A process reads a few streams, and names a million rows of each.
@lru_cache(maxsize=256)
def _name_of(stream: Stream) -> str:
    return str(stream)


@lru_cache(maxsize=256)
def _digits_of(stream: Stream) -> str:
    number = int(stream.partition) if stream.partition.isdecimal() else 0
    return f"{stream.generation:04d}{number:05d}"


def _name(kind: str, scope: str, name: str) -> str:
    return hashlib.sha256(f"{kind}\0{scope}\0{name}".encode("utf-8", "replace")).hexdigest()[:ID_DIGITS]


def contradicts(one: Charge, other: Charge) -> bool:
    """True if both know a count, and it is not the same; what only one of them knows is no contradiction."""
    return any(
        mine is not None and theirs is not None and mine != theirs
        for mine, theirs in zip(counts_of(one), counts_of(other), strict=True)
    )


def counts_of(charge: Charge) -> tuple[Any, ...]:
    """Return everything that was metered, in one order."""
    more = charge.quantities
    return (*usage.counts_of(charge), tuple(sorted(more.items())) if more else None)
