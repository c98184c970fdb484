"""Who made a call, and where it went: the fields every row of a call may add to.

``Facts`` is what one event says; readers merge the facts of a call's rows (``journal.rows``), so a
field exists here once and every later stage takes the list from ``FACT_FIELDS``.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

OPERATIONS = (
    "chat",
    "completions",
    "responses",
    "embeddings",
    "images",
    "audio",
    "realtime",
    "batch",
    "other",
    "unknown",
)


class Facts(Struct, frozen=True, kw_only=True):
    """Everything is None until an event says it. No value here is a secret or customer text."""

    occurred_at: datetime | None = None
    """The gateway's time of the call, aware UTC."""
    subscription_id: str | None = None
    subscription_name: str | None = None
    subscription_key_id: str | None = None
    """Pseudonym of the key the call used; the key itself ends at ``privacy``."""
    product: str | None = None
    app_id: str | None = None
    tenant_id: str | None = None
    end_user_id: str | None = None
    client_ip: str | None = None
    tags: Mapping[str, str] | None = None
    account: str | None = None
    """The Azure OpenAI resource that served, e.g. ``aoai-weu-1``."""
    deployment: str | None = None
    model: str | None = None
    """As the service said. A deployment's name is never a model."""
    operation: str | None = None
    api_version: str | None = None
    region: str | None = None
    backend: str | None = None
    http_status: int | None = None
    service_tier: str | None = None
    spillover_from: str | None = None
    streamed: bool | None = None
    request_id: str | None = None
    response_id: str | None = None


FACT_FIELDS: tuple[str, ...] = Facts.__struct_fields__


def merge(first: Facts, *others: Facts) -> Facts:
    """Return ``first`` with what it lacks taken from the others, in their order."""
    lacking = {name: value for name in FACT_FIELDS if (value := _first(name, first, *others)) is not None}
    return msgspec.structs.replace(first, **lacking) if lacking else first


def _first(name: str, *facts: Facts) -> object:
    return next((value for each in facts if (value := getattr(each, name)) is not None), None)
