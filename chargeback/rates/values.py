"""The single values of a rate table: how each is written, and what to say when it is not.

Each type reads the text as it stands in the file (``document``), so nothing was rounded before.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, cast

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from chargeback.rates.document import Plain
from chargeback.rates.faults import any_of, did_you_mean
from chargeback.rates.words import (
    CACHE_SPLITS,
    CONTEXT_TIERS,
    CURRENCIES,
    DEPLOYMENT_TYPES,
    IDLE_POLICIES,
    METERS,
    MODEL_KINDS,
    POOL_DRIVERS,
    POOL_KINDS,
    PRICE_BASES,
    PRICE_DECIMALS,
    PRICE_DIGITS,
    SERVICE_TIERS,
    UNITS,
)

EXPECTED = "expected"
"""Type of our own errors: their whole message is what was expected."""

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_A_TIME = "a date such as 2026-01-01 (midnight UTC) or an instant with its zone such as 2026-01-01T12:00:00Z"
_A_PRICE = 'a price in quotes such as "2.50"'


def _unless(good: object, expected: str) -> None:
    if not good:
        raise PydanticCustomError(EXPECTED, "{expected}", {"expected": expected})


def _price(value: object) -> object:
    _unless(isinstance(value, str), _A_PRICE)
    text = str(value)
    _unless(not isinstance(value, Plain), f"{_A_PRICE}: without quotes YAML makes a rounded number of it")
    _unless(not text.startswith("-"), f"{_A_PRICE}: not below zero; a credit is a correction, not a price")
    _unless(
        re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII),
        f"{_A_PRICE}: plain decimal notation, digits and one point",
    )
    whole, _, decimals = text.partition(".")
    sane = len(whole) <= PRICE_DIGITS and len(decimals) <= PRICE_DECIMALS
    _unless(sane, f"at most {PRICE_DIGITS} digits before the point and {PRICE_DECIMALS} behind it")
    _unless(Decimal(text), "a price above zero; what costs nothing is written {free: true, reason: ...}")
    return Decimal(text)


def _decimal(value: object) -> object:
    good = isinstance(value, str) and re.fullmatch(r"\d{1,9}(\.\d{1,12})?", value, re.ASCII)
    _unless(good, 'a number in quotes such as "4"')
    _unless(not isinstance(value, Plain), 'a number in quotes such as "4"')
    return Decimal(str(value))


_A_PERCENT = 'a percentage in quotes such as "5" or "-2.5"'


def _percent(value: object) -> object:
    _unless(isinstance(value, str) and not isinstance(value, Plain), _A_PERCENT)
    good = re.fullmatch(r"-?\d{1,4}(\.\d{1,2})?", str(value), re.ASCII)
    _unless(good, f"{_A_PERCENT}, with at most two decimals")
    return Decimal(str(value))


def _count(value: object) -> object:
    _unless(
        isinstance(value, str) and re.fullmatch(r"[1-9]\d{0,8}", value, re.ASCII), "a whole number above zero"
    )
    return int(str(value))


def _true(value: object) -> object:
    _unless(isinstance(value, Plain) and value == "true", "true; leave the key out otherwise")
    return True


def _instant(value: object) -> object:
    _unless(isinstance(value, str), _A_TIME)
    text = str(value)
    _unless(_INSTANT.fullmatch(text) or _DATE.fullmatch(text), _A_TIME)
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        _unless(good=False, expected="a day and time that exist")


def _regions(value: object) -> object:
    regions: object = ["*"] if value == "*" else value
    some = isinstance(regions, list) and regions != []
    _unless(some, '"*" for all regions, or a list such as [eastus, westeurope]')
    return cast("list[object]", regions)


def _name(value: str) -> str:
    _unless(
        value == value.strip() and value.isprintable(),
        "text without blanks at its ends and control characters",
    )
    return value


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        _unless(re.fullmatch(pattern, value, re.ASCII), expected)
        return value

    return check


def _word(words: Iterable[str]) -> AfterValidator:
    known = tuple(words)

    def check(value: str) -> str:
        if value not in known:
            _unless(good=False, expected=any_of(known) + did_you_mean(value, known))
        return value

    return AfterValidator(check)


def _currency(value: str) -> str:
    _unless(value in CURRENCIES, "an ISO 4217 code such as USD or EUR")
    return value


Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_name)]
ModelKey = Annotated[
    Text,
    AfterValidator(_matching(r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+", "name@version, such as gpt-4o@2024-11-20")),
]
Region = Annotated[Text, AfterValidator(_matching(r"[a-z0-9]+", "a region's short name, such as westeurope"))]
Star = Annotated[
    Text, AfterValidator(_matching(r"\*|[a-z0-9]+", "a region's short name, such as westeurope"))
]
Regions = Annotated[
    tuple[Star, ...],
    BeforeValidator(_regions),
    WithJsonSchema(
        {"anyOf": [{"const": "*"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]}
    ),
]
Status = Annotated[
    Text,
    AfterValidator(
        _matching(r"[1-5](xx|\d\d(:[a-z_]+)?)", "a status such as 2xx, 408 or 400:content_filter")
    ),
]
Currency = Annotated[str, AfterValidator(_currency), WithJsonSchema({"enum": sorted(CURRENCIES)})]
Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string"})]
Price = Annotated[
    Decimal, BeforeValidator(_price), WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?$"})
]
Number = Annotated[Decimal, BeforeValidator(_decimal), WithJsonSchema({"type": "string"})]
Percent = Annotated[
    Decimal,
    BeforeValidator(_percent),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d{1,4}(\.\d{1,2})?$"}),
]
Tag = Annotated[Text, AfterValidator(_matching(r"[^=]+=.+", "name=value, such as project=apollo"))]
Count = Annotated[int, BeforeValidator(_count), WithJsonSchema({"type": "integer", "minimum": 1})]
Yes = Annotated[bool, BeforeValidator(_true), WithJsonSchema({"const": True})]
SchemaVersion = Annotated[Text, _word(["1"]), WithJsonSchema({"enum": [1, "1"]})]
MeterName = Annotated[str, _word(METERS), WithJsonSchema({"enum": list(METERS)})]
Kind = Annotated[str, _word(MODEL_KINDS), WithJsonSchema({"enum": list(MODEL_KINDS)})]
Unit = Annotated[str, _word(UNITS), WithJsonSchema({"enum": list(UNITS)})]
DeploymentType = Annotated[str, _word(DEPLOYMENT_TYPES), WithJsonSchema({"enum": list(DEPLOYMENT_TYPES)})]
ServiceTier = Annotated[str, _word(SERVICE_TIERS), WithJsonSchema({"enum": list(SERVICE_TIERS)})]
ContextTier = Annotated[str, _word(CONTEXT_TIERS), WithJsonSchema({"enum": list(CONTEXT_TIERS)})]
PriceBasis = Annotated[str, _word(PRICE_BASES), WithJsonSchema({"enum": list(PRICE_BASES)})]
PoolKind = Annotated[str, _word(POOL_KINDS), WithJsonSchema({"enum": list(POOL_KINDS)})]
Driver = Annotated[str, _word(POOL_DRIVERS), WithJsonSchema({"enum": list(POOL_DRIVERS)})]
Idle = Annotated[str, _word(IDLE_POLICIES), WithJsonSchema({"enum": list(IDLE_POLICIES)})]
CacheSplit = Annotated[str, _word(CACHE_SPLITS), WithJsonSchema({"enum": list(CACHE_SPLITS)})]


def or_mapping(value: object) -> object:
    """Read the short form of a key id: only its text."""
    _unless(isinstance(value, str | dict), "a key id, or {id: ..., from: ..., to: ...}")
    return {"id": value} if isinstance(value, str) else cast("dict[str, object]", value)
