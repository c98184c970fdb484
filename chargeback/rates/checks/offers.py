"""Checks between rates, and of rates against what was deployed."""

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import product

from chargeback.rates.checks.check import Check
from chargeback.rates.checks.meters import price_of
from chargeback.rates.faults import Finding, Path, path_text
from chargeback.rates.rows import Rate, Rows
from chargeback.rates.table import instant_text
from chargeback.rates.timeline import uncovered
from chargeback.rates.words import PROVISIONED_TYPES

# (dearer, cheaper): unusual the other way round, though a price list may do it
_EXPECT_AT_LEAST = (("DataZoneStandard", "GlobalStandard"), ("Standard", "GlobalStandard"))
_EXPECT_AT_MOST = (("GlobalStandard", "GlobalBatch"), ("DataZoneStandard", "DataZoneBatch"))
# The same meter of one model over types, tiers and years: observed 0.45 to 5 times.
_SAME_METER = Fraction(100)


def deployments_without_rate(rows: Rows) -> Iterator[Finding]:
    for index, row in enumerate(rows.deployments):
        if row.deployment_type in PROVISIONED_TYPES:
            continue
        model = rows.models.get(row.model)
        contexts = ("*",) if model is None or model.long_context_from is None else ("short", "long")
        for context in contexts:
            spans = [
                (rate.effective_from, rate.effective_to)
                for rate in rows.rates
                if _applies(rate, row.model, row.deployment_type, row.region, context)
            ]
            missing = uncovered(spans, row.start, row.to)
            if missing is not None:
                value = f"no rate for {_offer(row.model, row.deployment_type, row.region)} at {instant_text(missing)}"
                expected = "a rate of service tier default at every moment of the deployment's life"
                yield Finding(("deployments", index), value, expected)
                break


def defaults_without_rate(rows: Rows) -> Iterator[Finding]:
    for index, row in enumerate(rows.defaults):
        kind = row.deployment_type
        if kind is None or kind in PROVISIONED_TYPES:
            continue
        region = row.region or "*"
        if not any(
            _applies(rate, row.model or rate.model, kind, region, rate.context_tier) for rate in rows.rates
        ):
            value = f"no rate for {_offer(row.model or 'any model', kind, region)}"
            yield Finding(("defaults", index), value, "a rate that the default can lead to")


def _applies(rate: Rate, model: str, kind: str, region: str, context: str) -> bool:
    return (
        rate.model == model
        and rate.deployment_type == kind
        and rate.service_tier == "default"
        and (region in rate.region or "*" in rate.region)
        and rate.context_tier in (context, "*")
    )


def _offer(model: str, kind: str, region: str) -> str:
    return f"{model} {kind} in {'any region' if region == '*' else region}"


def stars_among_regions(rows: Rows) -> Iterator[Finding]:
    for index, rate in enumerate(rows.rates):
        if len(rate.region) > 1 and "*" in rate.region:
            yield Finding(
                ("rates", index, "region"), 'a list with "*" among others', '"*" alone, or names only'
            )


def stars_over_varying_prices(rows: Rows) -> Iterator[Finding]:
    """A price that is known to differ by region says nothing of the regions that are not named."""
    for group in _by_offer(rows).values():
        stars = [(index, rate) for index, rate in group if rate.region == ("*",)]
        named = [(index, rate) for index, rate in group if "*" not in rate.region]
        for (index, star), (other, rate) in product(stars, named):
            varying = [name for name in star.meters if _differ(star, rate, name)] if _meet(star, rate) else []
            if varying:
                regions = ", ".join(rate.region)
                value = f'"*", and another price of {varying[0]} in {regions} (rates[{other}])'
                yield Finding(("rates", index, "region"), value, "the regions that have this price, by name")


def _differ(one: Rate, other: Rate, name: str) -> bool:
    return name in other.meters and price_of(one, name) != price_of(other, name)


def strange_steps(rows: Rows) -> Iterator[Finding]:
    """Find whole rows written per 1K instead of per 1M, whose own meters agree with each other."""
    for (_, name), prices in _by_meter(rows).items():
        ordered = sorted(prices, key=lambda each: each[1])
        low_path, low = ordered[0]
        high_path, high = ordered[-1]
        if high > low * _SAME_METER:
            value = f"{float(high / low):g} times the price of {path_text((*low_path, 'meters', name))}"
            expected = f"prices of one model's meter within {_SAME_METER} times of each other; is one per 1K and one per 1M?"
            yield Finding((*high_path, "meters", name), value, expected)


def _by_meter(rows: Rows) -> dict[tuple[str, str], list[tuple[Path, Fraction]]]:
    grouped: defaultdict[tuple[str, str], list[tuple[Path, Fraction]]] = defaultdict(list)
    for index, rate in enumerate(rows.rates):
        for name in rate.meters:
            price = price_of(rate, name)
            if price is not None:
                grouped[rate.model, name].append((("rates", index), price))
    return grouped


def unusual_relations(rows: Rows) -> Iterator[Finding]:
    for dear, cheap in _EXPECT_AT_LEAST:
        yield from _undercuts(rows, dear, cheap, f"{dear} to cost at least as much as {cheap}", at=dear)
    for dear, cheap in _EXPECT_AT_MOST:
        yield from _undercuts(rows, dear, cheap, f"{cheap} to cost at most as much as {dear}", at=cheap)


def _undercuts(rows: Rows, dear: str, cheap: str, expected: str, *, at: str) -> Iterator[Finding]:
    groups = _by_offer(rows)
    for key, lows in groups.items():
        if key[0] != cheap:
            continue
        for (low_index, low), (high_index, high) in product(lows, groups.get((dear, *key[1:]), [])):
            index, other = (high_index, low_index) if at == dear else (low_index, high_index)
            value = f"a price that is {'below' if at == dear else 'above'} that of rates[{other}]"
            for name in _dearer_meters(low, high) if _meet(low, high) else ():
                yield Finding(("rates", index, "meters", name), value, expected)


def _by_offer(rows: Rows) -> dict[tuple[str, ...], list[tuple[int, Rate]]]:
    grouped: defaultdict[tuple[str, ...], list[tuple[int, Rate]]] = defaultdict(list)
    for index, rate in enumerate(rows.rates):
        grouped[rate.deployment_type, rate.model, rate.service_tier, rate.context_tier].append((index, rate))
    return grouped


def _dearer_meters(low: Rate, high: Rate) -> Iterator[str]:
    for name, meter in low.meters.items():
        if meter.same_as is not None:  # judged where its price stands
            continue
        above, below = price_of(low, name), price_of(high, name)
        if above is not None and below is not None and above > below:
            yield name


def _meet(one: Rate, other: Rate) -> bool:
    earlier, later = sorted((one, other), key=lambda rate: rate.effective_from)
    return earlier.effective_to is None or earlier.effective_to > later.effective_from


CHECKS = (
    Check(stars_among_regions, ("rates",)),
    Check(stars_over_varying_prices, ("rates",)),
    Check(strange_steps, ("rates",)),
    Check(unusual_relations, ("rates",), "warning"),
    Check(deployments_without_rate, ("models", "rates", "deployments"), follows=True),
    Check(defaults_without_rate, ("models", "rates", "defaults"), follows=True),
)
