"""Checks of time: spans that end before they start, overlap, or leave a hole."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct

from chargeback.rates.checks.check import Check
from chargeback.rates.faults import Finding, Path, path_text
from chargeback.rates.rows import Rows
from chargeback.rates.table import instant_text
from chargeback.rates.timeline import BEGINNING


class Span(Struct, frozen=True):
    path: Path
    key: tuple[str | None, ...]
    """Spans of one key may not overlap."""
    start: datetime | None
    to: datetime | None

    @property
    def reversed(self) -> bool:
        return self.start is not None and self.to is not None and self.start >= self.to

    def told(self) -> str:
        start = "always" if self.start is None else instant_text(self.start)
        return f"{start} to {'open end' if self.to is None else instant_text(self.to)}"


def rate_spans(rows: Rows) -> Iterator[Span]:
    for index, rate in enumerate(rows.rates):
        for region in rate.region:
            key = (rate.model, rate.deployment_type, region, rate.service_tier, rate.context_tier)
            yield Span(("rates", index), key, rate.effective_from, rate.effective_to)


def deployment_spans(rows: Rows) -> Iterator[Span]:
    for index, row in enumerate(rows.deployments):
        yield Span(("deployments", index), (row.account.lower(), row.deployment.lower()), row.start, row.to)


def default_spans(rows: Rows) -> Iterator[Span]:
    for index, row in enumerate(rows.defaults):
        hub = None if row.event_hub is None else row.event_hub.lower()
        yield Span(("defaults", index), (row.subscription, row.app, hub), row.start, row.to)


def key_spans(rows: Rows) -> Iterator[Span]:
    for index, subscription in enumerate(rows.subscriptions):
        for number, key in enumerate(subscription.key_ids):
            yield Span(("subscriptions", index, "key_ids", number), (key.id,), key.start, key.to)


def assignment_spans(rows: Rows) -> Iterator[Span]:
    for index, row in enumerate(rows.assignments):
        yield Span(
            ("assignments", index), (row.subscription, row.app, row.product, row.tag), row.start, row.to
        )


def markup_spans(rows: Rows) -> Iterator[Span]:
    for index, centre in enumerate(rows.cost_centres):
        for number, row in enumerate(centre.markups):
            yield Span(("cost_centres", index, "markups", number), (centre.id,), row.start, row.to)


def budget_spans(rows: Rows) -> Iterator[Span]:
    for index, row in enumerate(rows.budgets):
        yield Span(("budgets", index), (row.cost_centre,), row.start, row.to)


def amount_spans(rows: Rows) -> Iterator[Span]:
    for index, pool in enumerate(rows.pools):
        for number, row in enumerate(pool.amounts):
            yield Span(("pools", index, "amounts", number), (pool.id,), row.start, row.to)


ALL = (
    rate_spans,
    deployment_spans,
    default_spans,
    key_spans,
    assignment_spans,
    markup_spans,
    budget_spans,
    amount_spans,
)


def reversed_spans(rows: Rows) -> Iterator[Finding]:
    for spans in ALL:
        for span in dict.fromkeys(_without_key(each) for each in spans(rows)):
            if span.reversed:
                yield Finding(span.path, span.told(), "an end after the start")


def overlapping_rates(rows: Rows) -> Iterable[Finding]:
    return _overlaps(rate_spans(rows), "one price at a time for the same model, type, region and tiers")


def overlapping_deployments(rows: Rows) -> Iterable[Finding]:
    return _overlaps(deployment_spans(rows), "one meaning at a time for an account and deployment")


def overlapping_defaults(rows: Rows) -> Iterable[Finding]:
    return _overlaps(default_spans(rows), "one default at a time for the same hub, subscription and app")


def overlapping_keys(rows: Rows) -> Iterable[Finding]:
    return _overlaps(key_spans(rows), "one subscription at a time for a key id")


def overlapping_assignments(rows: Rows) -> Iterable[Finding]:
    return _overlaps(
        assignment_spans(rows), "one cost centre at a time for the same subscription, app, product or tag"
    )


def overlapping_markups(rows: Rows) -> Iterable[Finding]:
    return _overlaps(markup_spans(rows), "one markup at a time for a cost centre")


def overlapping_budgets(rows: Rows) -> Iterable[Finding]:
    return _overlaps(budget_spans(rows), "one budget at a time for a cost centre")


def gaps_in_rates(rows: Rows) -> Iterator[Finding]:
    for before, after in _neighbours(rate_spans(rows)):
        if before.to is not None and after.start is not None and before.to < after.start:
            expected = f"no gap: {path_text(before.path)} of the same key ends {instant_text(before.to)}"
            yield Finding(after.path, after.told(), expected)


def _overlaps(spans: Iterable[Span], rule: str) -> Iterator[Finding]:
    found = [
        Finding(after.path, after.told(), f"{rule}; {path_text(before.path)} has {before.told()}")
        for before, after in _neighbours(spans)
        if before.to is None or before.to > (after.start or BEGINNING)
    ]
    yield from dict.fromkeys(found)  # a pair of rows may share several regions


def _neighbours(spans: Iterable[Span]) -> Iterator[tuple[Span, Span]]:
    """Yield each span with the one of its key, among those that start earlier, that ends last."""
    grouped: defaultdict[tuple[str | None, ...], list[Span]] = defaultdict(list)
    for span in spans:
        if not span.reversed:
            grouped[span.key].append(span)
    for group in grouped.values():
        last, *others = sorted(group, key=lambda span: span.start or BEGINNING)
        for span in others:
            yield last, span
            if last.to is not None and (span.to is None or span.to > last.to):
                last = span


def _without_key(span: Span) -> Span:
    return Span(span.path, (), span.start, span.to)


_SECTIONS = (
    "rates",
    "deployments",
    "defaults",
    "subscriptions",
    "assignments",
    "cost_centres",
    "budgets",
    "pools",
)

CHECKS = (
    Check(reversed_spans, _SECTIONS),
    Check(overlapping_rates, ("rates",)),
    Check(gaps_in_rates, ("rates",)),
    Check(overlapping_deployments, ("deployments",)),
    Check(overlapping_defaults, ("defaults",)),
    Check(overlapping_keys, ("subscriptions",)),
    Check(overlapping_assignments, ("assignments",)),
    Check(overlapping_markups, ("cost_centres",)),
    Check(overlapping_budgets, ("budgets",)),
)
