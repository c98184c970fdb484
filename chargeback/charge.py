"""The immutable record of what one call cost, and why."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct

Rating = Literal["priced", "pooled", "unpriced", "unmetered", "not_billable"]
RATINGS: tuple[Rating, ...] = ("priced", "pooled", "unpriced", "unmetered", "not_billable")


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


class Charge(Struct, frozen=True, kw_only=True, tag_field="row", tag="charge"):
    """One row of the bill. None is unknown, never 0; money is Decimal and a string in JSON.

    ``lines`` is the truth; ``prompt_cost``, ``completion_cost`` and ``total_cost`` are its sums, and None
    while the charge has no price.
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
