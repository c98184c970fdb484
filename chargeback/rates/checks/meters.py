"""Checks of one rate: its meters are complete, in the right unit and of a plausible size."""

import re
from collections.abc import Iterator
from fractions import Fraction

from chargeback.rates.checks.check import Check
from chargeback.rates.faults import Finding, any_of
from chargeback.rates.rows import Rate, Rows
from chargeback.rates.words import METERS, MODEL_KINDS, PROVISIONED_TYPES, UNITS

# What a token of a meter may cost beside an input token of the same modality: from, to. A price per 1K
# written as per 1M (or the reverse) is off by 1000. Observed on Azure's list: cached 0.012 to 1 times
# the input, output 1 to 12 times, cache write 1 to 1.25 times; so the slip falls outside on both sides.
PLAUSIBLE = {
    "input_cached": (Fraction(1, 1000), Fraction(10)),
    "cache_write": (Fraction(1, 10), Fraction(10)),
    "output": (Fraction(1, 10), Fraction(100)),
}


def price_of(rate: Rate, name: str) -> Fraction | None:
    """Return the price of one unit; None where it is free, missing or of a wrong dimension."""
    meter = rate.meters.get(name)
    if meter is not None and meter.same_as is not None:
        meter = rate.meters.get(meter.same_as)
    if meter is None or meter.price is None or meter.per is None:
        return None
    unit = UNITS[meter.per]
    return Fraction(meter.price) / unit.per if unit.dimension == METERS[name] else None


def wrong_dimensions(rows: Rows) -> Iterator[Finding]:
    for index, rate in enumerate(rows.rates):
        for name, meter in rate.meters.items():
            dimension = METERS[name]
            if meter.per is not None and UNITS[meter.per].dimension != dimension:
                units = any_of(repr(unit) for unit, each in UNITS.items() if each.dimension == dimension)
                yield Finding(
                    ("rates", index, "meters", name, "per"),
                    repr(meter.per),
                    f"a unit of {dimension}: {units}",
                )


def broken_references(rows: Rows) -> Iterator[Finding]:
    for index, rate in enumerate(rows.rates):
        for name, meter in rate.meters.items():
            if meter.same_as is None:
                continue
            target = rate.meters.get(meter.same_as)
            if target is None or target.same_as is not None or METERS[meter.same_as] != METERS[name]:
                expected = f"a {METERS[name]} meter of this row that has its own price or is free"
                yield Finding(("rates", index, "meters", name, "same_as"), repr(meter.same_as), expected)


def missing_meters(rows: Rows) -> Iterator[Finding]:
    for index, rate in enumerate(rows.rates):
        model = rows.models.get(rate.model)
        if model is None or rate.deployment_type in PROVISIONED_TYPES:
            continue
        required = MODEL_KINDS[model.kind]
        if model.kind == "chat" and _bills_cache_writes(rate.model):
            required = (*required, "cache_write_text")
        for name in required:
            if name not in rate.meters:
                yield Finding(("rates", index, "meters", name), "nothing", _how_to_price(name, model.kind))


def _how_to_price(name: str, kind: str) -> str:
    what = f"a price, as the model is of kind {kind}"
    if name == "input_cached_text":
        return f"{what}; without a discount write {{same_as: input_text}}"
    if name == "cache_write_text":
        return "a price: models from gpt-5.6 on bill cache writes, at about 1.25 times the input"
    return what


def _bills_cache_writes(model: str) -> bool:
    match = re.match(r"gpt-(?!35)(\d+)(?:\.(\d+))?(?!\d)", model)  # gpt-35 is Azure's name of 3.5
    return match is not None and (int(match[1]), int(match[2] or 0)) >= (5, 6)


def implausible_prices(rows: Rows) -> Iterator[Finding]:
    for index, rate in enumerate(rows.rates):
        for name in rate.meters:
            prefix, _, modality = name.rpartition("_")
            price, beside = price_of(rate, name), price_of(rate, f"input_{modality}")
            if prefix not in PLAUSIBLE or price is None or not beside:
                continue
            low, high = PLAUSIBLE[prefix]
            if not low <= price / beside <= high:
                value = f"{float(price / beside):g} times the price of input_{modality}"
                expected = (
                    f"between {low} and {high} times; is one of them per 1K tokens and the other per 1M?"
                )
                yield Finding(("rates", index, "meters", name), value, expected)


def contexts_without_threshold(rows: Rows) -> Iterator[Finding]:
    for index, rate in enumerate(rows.rates):
        model = rows.models.get(rate.model)
        if model is not None and rate.context_tier != "*" and model.long_context_from is None:
            expected = f'"*", or long_context_from on the model {rate.model!r}'
            yield Finding(("rates", index, "context_tier"), repr(rate.context_tier), expected)


def dear_caches(rows: Rows) -> Iterator[Finding]:
    for index, rate in enumerate(rows.rates):
        for modality in ("text", "audio", "image"):
            cached, full = price_of(rate, f"input_cached_{modality}"), price_of(rate, f"input_{modality}")
            if cached is not None and full is not None and cached > full:
                path = ("rates", index, "meters", f"input_cached_{modality}")
                yield Finding(
                    path, "a price above that of uncached input", "cached input to cost at most as much"
                )


def no_source(rows: Rows) -> Iterator[Finding]:
    if rows.source is None and any(rate.source is None for rate in rows.rates):
        yield Finding(("source",), "nothing", "where the prices come from: {kind: ..., fetched_at: ...}")


CHECKS = (
    Check(wrong_dimensions, ("rates",)),
    Check(broken_references, ("rates",)),
    Check(missing_meters, ("models", "rates")),
    Check(implausible_prices, ("rates",)),
    Check(contexts_without_threshold, ("models", "rates")),
    Check(dear_caches, ("rates",), "warning"),
    Check(no_source, ("source", "rates"), "warning"),
)
