"""Journal rows as customEvents: names and properties that existing queries on the published samples read.

Properties are text, None is ``""`` (a sum skips it), numbers appear again as measurements. No other event
of ours may carry ``Azure OpenAI Tokens`` in its name: old queries match it by ``contains``.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from chargeback.charge import Charge
from chargeback.facts import FACT_FIELDS
from chargeback.journal.rows import BillingRow, BudgetReached, Identity, Rerated
from chargeback.privacy import KEY_ID_DIGITS
from chargeback.telemetry import CustomEvent

CHARGE_EVENT = "Azure OpenAI Tokens"
IDENTITY_EVENT = "Azure OpenAI Call Identity"
ADJUSTMENT_EVENT = "Chargeback Adjustment"
"""A rating run changed a call: the same properties, the same ``TokenInfoId``, and what held before."""
BUDGET_EVENT = "Chargeback Budget"
ALIAS_EVENT = "Function called with Chargeback Data"
"""What the second published sample calls a charge; only sent on request (``outbox.WithAlias``)."""

# Where the published queries knew the value under another name; every other field is its PascalCase.
_RENAMED = {
    "charge_id": "TokenInfoId",
    "occurred_at": "Timestamp",
    "operation": "ApiOperation",
    "streamed": "Stream",
    "deployment": "DeploymentId",
    "product": "ProductName",
    "usage_source": "TokenSource",
}
_OPERATION_NAMES = {"chat": "ChatCompletion", "completions": "TextCompletion"}


def property_name(field: str) -> str:
    """Return the property a field of a row is sent as."""
    return _RENAMED.get(field) or "".join(word.capitalize() for word in field.split("_"))


CHARGE_PROPERTIES = {field: property_name(field) for field in Charge.__struct_fields__}
FACT_PROPERTIES = {field: property_name(field) for field in FACT_FIELDS}


ALIAS_PROPERTIES = {
    "AppKey": "appSubscriptionKey",
    "DeploymentId": "deploymentId",
    "PromptTokens": "promptTokens",
    "CompletionTokens": "completionTokens",
    "TotalTokens": "totalTokens",
    "Timestamp": "timestamp",
    # Not the sample's: without them nobody could tell copies apart or apply the winner rule.
    "TokenInfoId": "TokenInfoId",
    "RowId": "RowId",
    "Rank": "Rank",
}
"""Property of a charge's event -> what it is called in the alias."""


def custom_event(row: BillingRow) -> CustomEvent | None:
    """Return what is sent for a row; None for rows that telemetry does not show and known duplicates."""
    if isinstance(row, Charge):
        return None if row.duplicate_of else _charge_event(row)
    if isinstance(row, Rerated):
        return _adjustment_event(row) if row.changed else None
    if isinstance(row, BudgetReached):
        return _budget_event(row)
    return _identity_event(row) if isinstance(row, Identity) else None


def _adjustment_event(row: Rerated) -> CustomEvent:
    """Return the call as the run rates it; readers take the newest run for a ``TokenInfoId``."""
    charge = row.charge
    before = {
        "run": row.run,
        "previous_cost": row.previous_cost,
        "previous_rating": row.previous_rating,
        "previous_cost_centre": row.previous_cost_centre,
        "previous_version": row.previous_version,
    }
    fields = {field: getattr(charge, field) for field in CHARGE_PROPERTIES} | before
    names = CHARGE_PROPERTIES | {field: property_name(field) for field in before}
    # A copy would be dropped if it had the id of the charge's own event.
    return _event(ADJUSTMENT_EVENT, f"{charge.charge_id}-{row.run}", fields, names, charge.enqueued_at)


def _budget_event(row: BudgetReached) -> CustomEvent:
    fields = {name: getattr(row, name) for name in BudgetReached.__struct_fields__}
    names = {name: property_name(name) for name in fields}
    return CustomEvent(
        name=BUDGET_EVENT,
        event_id=row.row_id,
        occurred_at=row.made_at,
        properties={names[field]: text(field, value) for field, value in fields.items()},
        measurements={
            names[field]: float(value) for field, value in fields.items() if isinstance(value, int | Decimal)
        },
    )


def alias_event(event: CustomEvent) -> CustomEvent | None:
    """Return the copy of a charge's event that readers of the second sample look for; None for other events."""
    if event.name != CHARGE_EVENT:
        return None
    properties = {theirs: event.properties[ours] for ours, theirs in ALIAS_PROPERTIES.items()}
    return CustomEvent(
        name=ALIAS_EVENT, event_id=event.event_id, occurred_at=event.occurred_at, properties=properties
    )


def _charge_event(charge: Charge) -> CustomEvent:
    fields = msgspec.structs.asdict(charge)
    return _event(CHARGE_EVENT, charge.charge_id, fields, CHARGE_PROPERTIES, charge.enqueued_at)


def _identity_event(row: Identity) -> CustomEvent:
    fields = {field: getattr(row.facts, field) for field in FACT_PROPERTIES}
    named = {
        "charge_id": row.charge_id,
        "row_id": row.row_id,
        "source_format": row.source_format,
        "rank": row.rank,
        "cost_centre": row.cost_centre,
    }
    names = FACT_PROPERTIES | {field: property_name(field) for field in named}
    return _event(IDENTITY_EVENT, row.charge_id, {**named, **fields}, names, None)


def _event(
    name: str,
    event_id: str,
    fields: Mapping[str, Any],
    names: Mapping[str, str],
    enqueued_at: datetime | None,
) -> CustomEvent:
    properties: dict[str, str] = {}
    measurements: dict[str, float] = {}
    for field, value in fields.items():
        if value is None:  # half the fields of most rows
            properties[names[field]] = ""
        elif isinstance(value, str) and field not in _SPECIAL:
            properties[names[field]] = value
        else:
            properties[names[field]] = text(field, value)
            if isinstance(value, _NUMBERS) and not isinstance(value, bool):
                measurements[names[field]] = float(value)
    properties["AppKey"] = _app_key(fields)
    return CustomEvent(
        name=name,
        event_id=event_id,
        occurred_at=fields["occurred_at"] or enqueued_at or datetime(1970, 1, 1, tzinfo=UTC),
        properties=properties,
        measurements=measurements,
    )


def text(field: str, value: Any) -> str:
    """Return a field's value as property text; None is the empty text."""
    if value is None:
        return ""
    if field in _SPECIAL:
        return _SPECIAL[field](value)
    return value if isinstance(value, str) else _BY_TYPE.get(type(value), _json)(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_SPECIAL: dict[str, Callable[[Any], str]] = {
    "operation": lambda word: _OPERATION_NAMES.get(word) or str(word).capitalize(),
    "usage_notes": ",".join,
}
_BY_TYPE: dict[Any, Callable[[Any], str]] = {
    datetime: lambda instant: instant.isoformat().replace("+00:00", "Z"),
    Decimal: lambda amount: f"{amount:f}",
    bool: str,
    int: str,
}
_NUMBERS = (int, Decimal)


def _app_key(fields: Mapping[str, Any]) -> str:
    """Return what tells consumers apart within eight characters: the subscription, else the key's digits."""
    subscription, key_id = fields.get("subscription_id"), fields.get("subscription_key_id")
    if key_id and (not subscription or subscription == f"key-{key_id}"):
        return str(key_id)[-KEY_ID_DIGITS:]
    return subscription or ""
