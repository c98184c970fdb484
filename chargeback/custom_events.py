"""Journal rows as customEvents: names and properties that existing queries on the published samples read.

Properties are text, None is ``""`` (a sum skips it), numbers appear again as measurements. No other event
of ours may carry ``Azure OpenAI Tokens`` in its name: old queries match it by ``contains``.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Struct

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
    before = {field: getattr(row, field) for field in _PREVIOUS}
    # A copy would be dropped if it had the id of the charge's own event.
    return _event(_ADJUSTMENT, f"{charge.charge_id}-{row.run}", msgspec.structs.asdict(charge) | before)


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
    return _event(_CHARGE, charge.charge_id, msgspec.structs.asdict(charge))


def _identity_event(row: Identity) -> CustomEvent:
    fields = {field: getattr(row.facts, field) for field in FACT_PROPERTIES}
    named = {field: getattr(row, field) for field in _IDENTITY_FIELDS}
    return _event(_IDENTITY, row.charge_id, {**named, **fields})


_Writer = Callable[[Any], str]


class _Kind(Struct, frozen=True):
    """How the events of one name are written; made once, for the loop over fields runs for every call."""

    name: str
    values: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    """The fields in the order of their properties, which is the order they are sent in."""
    properties: tuple[str, ...]


def _kind(name: str, fields: Iterable[str]) -> _Kind:
    ordered = sorted((*fields, "app_key"), key=property_name)
    return _Kind(name, itemgetter(*ordered), tuple(map(property_name, ordered)))


def _event(kind: _Kind, event_id: str, fields: dict[str, Any]) -> CustomEvent:
    fields["app_key"] = _app_key(fields)
    for field in _SPECIAL.keys() & fields.keys():
        fields[field] = text(field, fields[field])
    properties: dict[str, Any] = dict(zip(kind.properties, kind.values(fields), strict=True))
    measurements: dict[str, float] = {}
    for name, value in properties.items():
        if value is None:  # half the fields of most rows
            properties[name] = ""
        elif type(value) is not str:
            properties[name] = _BY_TYPE.get(type(value), _json)(value)
            if type(value) in _NUMBERS:
                measurements[name] = float(value)
    return CustomEvent(
        name=kind.name,
        event_id=event_id,
        occurred_at=fields["occurred_at"] or fields.get("enqueued_at") or datetime(1970, 1, 1, tzinfo=UTC),
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
    return _encoder.encode(value).decode()


_encoder = msgspec.json.Encoder()


_SPECIAL: dict[str, _Writer] = {
    "operation": lambda word: _OPERATION_NAMES.get(word) or str(word).capitalize(),
    "usage_notes": ",".join,
}
_BY_TYPE: dict[Any, _Writer] = {
    datetime: lambda instant: _json(instant)[
        1:-1
    ],  # as the journal says it; isoformat takes ten times as long
    Decimal: lambda amount: f"{amount:f}",
    bool: str,
    int: str,
}
_NUMBERS = frozenset({int, Decimal})

_PREVIOUS = ("run", "previous_cost", "previous_rating", "previous_cost_centre", "previous_version")
_IDENTITY_FIELDS = ("charge_id", "row_id", "source_format", "rank", "cost_centre")
_CHARGE = _kind(CHARGE_EVENT, CHARGE_PROPERTIES)
_ADJUSTMENT = _kind(ADJUSTMENT_EVENT, (*CHARGE_PROPERTIES, *_PREVIOUS))
_IDENTITY = _kind(IDENTITY_EVENT, (*_IDENTITY_FIELDS, *FACT_PROPERTIES))


def _app_key(fields: Mapping[str, Any]) -> str:
    """Return what tells consumers apart within eight characters: the subscription, else the key's digits."""
    subscription, key_id = fields.get("subscription_id"), fields.get("subscription_key_id")
    if key_id and (not subscription or subscription == f"key-{key_id}"):
        return str(key_id)[-KEY_ID_DIGITS:]
    return subscription or ""
