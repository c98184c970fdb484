"""A checker of FOCUS 1.2 for the rules that matter here: columns, nulls, types, words, periods, arithmetic.

The public validators of this version cannot be installed beside current packages, so the rules stand here.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from chargeback.rates.words import CURRENCIES
from chargeback.rating import EXACT
from chargeback.report.focus import MANDATORY

_NOT_NULL = tuple(name for name in MANDATORY if name not in ("ChargeClass", "PricingQuantity", "PricingUnit"))
_NUMBERS = [
    "BilledCost",
    "ListCost",
    "ContractedCost",
    "EffectiveCost",
    "PricingQuantity",
    "ConsumedQuantity",
    "ListUnitPrice",
    "ContractedUnitPrice",
]
_TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
_ENUMS: dict[str, tuple[str, ...]] = {
    "ChargeCategory": ("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    "ChargeClass": ("", "Correction"),
    "ChargeFrequency": ("", "One-Time", "Recurring", "Usage-Based"),
    "PricingCategory": ("", "Standard", "Dynamic", "Committed", "Other"),
    "ServiceCategory": ("AI and Machine Learning",),
}
_UNIT = re.compile(r"(\d+ )?[A-Z][A-Za-z]*( [A-Z][A-Za-z]*)*")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
MOST_FAULTS = 50


def check(file: Path) -> list[str]:
    """Return what breaks a rule, by line and column; at most the first fifty."""
    with file.open(encoding="utf-8", newline="") as source:
        rows = csv.DictReader(source)
        missing = [name for name in MANDATORY if name not in (rows.fieldnames or ())]
        if missing:
            return [f"{file}:1: missing {', '.join(missing)}; expected all mandatory columns of FOCUS 1.2"]
        faults: list[str] = []
        for number, row in enumerate(rows, 2):
            faults += [f"{file}:{number}: {fault}" for fault in _faults(row)]
            if len(faults) >= MOST_FAULTS:
                return faults[:MOST_FAULTS]
    return faults


def _faults(row: Mapping[str, str]) -> Iterator[str]:
    for rule in _RULES:
        yield from rule(row)


def _nulls(row: Mapping[str, str]) -> Iterator[str]:
    for name in _NOT_NULL:
        if not row[name]:
            yield f"{name}: found nothing, expected a value"
    if row["ChargeCategory"] == "Usage" and not row["ChargeClass"]:
        for name in ("PricingQuantity", "PricingUnit"):
            if not row[name]:
                yield f"{name}: found nothing, expected a value for usage that is no correction"


def _types(row: Mapping[str, str]) -> Iterator[str]:
    for name in _NUMBERS:
        if row.get(name) and _number(row[name]) is None:
            yield f"{name}: found {row[name]!r}, expected a plain decimal number"
    for name in _TIMES:
        if row[name] and not _INSTANT.fullmatch(row[name]):
            yield f"{name}: found {row[name]!r}, expected an instant such as 2026-11-01T00:00:00Z"
    if row["BillingCurrency"] not in CURRENCIES:
        yield f"BillingCurrency: found {row['BillingCurrency']!r}, expected an ISO 4217 code"
    for name in ("PricingUnit", "ConsumedUnit"):
        if row.get(name) and not _UNIT.fullmatch(row[name]):
            yield f"{name}: found {row[name]!r}, expected a unit such as 1000000 Tokens"
    for name in ("Tags", "SkuPriceDetails", "AllocatedMethodDetails"):
        if row.get(name) and not _is_object(row[name]):
            yield f"{name}: found no JSON object"


def _words(row: Mapping[str, str]) -> Iterator[str]:
    for name, words in _ENUMS.items():
        if row.get(name, "") not in words:
            yield f"{name}: found {row[name]!r}, expected one of {', '.join(word or 'nothing' for word in words)}"


def _periods(row: Mapping[str, str]) -> Iterator[str]:
    first, last, begin, end = (
        row[name]
        for name in ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
    )
    if not first < last or not begin < end:
        yield "periods: expected ends after starts (ends are exclusive)"
    if row["ChargeClass"] != "Correction" and not (first <= begin and end <= last):
        yield f"ChargePeriodStart: found {begin} to {end}, expected within the billing period {first} to {last}"


def _arithmetic(row: Mapping[str, str]) -> Iterator[str]:
    quantity = _number(row["PricingQuantity"])
    for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
        each, whole = _number(row.get(price, "")), _number(row[cost])
        if (
            each is not None
            and quantity is not None
            and whole is not None
            and EXACT.multiply(each, quantity) != whole
        ):
            yield f"{cost}: found {row[cost]}, expected {price} x PricingQuantity = {EXACT.multiply(each, quantity):f}"


def _skus(row: Mapping[str, str]) -> Iterator[str]:
    if row.get("ListUnitPrice") and not row.get("SkuPriceId"):
        yield "SkuPriceId: found nothing, expected the price's id beside a ListUnitPrice"
    if bool(row.get("ConsumedQuantity")) is not bool(row.get("ConsumedUnit")):
        yield "ConsumedUnit: expected exactly beside a ConsumedQuantity"


_RULES: tuple[Callable[[Mapping[str, str]], Iterator[str]], ...] = (
    _nulls,
    _types,
    _words,
    _periods,
    _arithmetic,
    _skus,
)


def _number(value: str) -> Decimal | None:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and "E" not in value.upper() else None


def _is_object(value: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(value), dict)
    except msgspec.DecodeError:
        return False
