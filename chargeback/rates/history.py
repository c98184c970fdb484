"""What must not change: the age of a table, and prices that have billed a closed month already."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import msgspec

from chargeback.rates.faults import Finding
from chargeback.rates.rows import Rate, Rows, Source
from chargeback.rates.table import instant_text
from chargeback.rates.timeline import BEGINNING

Key = tuple[str, str, str, str, str]


def stale(rows: Rows, today: date) -> Iterator[Finding]:
    """Yield where prices were read longer ago than the table's policy finds good."""
    oldest = today - timedelta(days=rows.policy.stale_after_days)
    seen: set[Source] = set()
    sources: list[tuple[tuple[str | int, ...], Source | None]] = [(("source",), rows.source)]
    sources += [(("rates", index, "source"), rate.source) for index, rate in enumerate(rows.rates)]
    for path, source in sources:
        if source is not None and source not in seen and source.fetched_at.date() < oldest:
            seen.add(source)
            days = (today - source.fetched_at.date()).days
            expected = (
                f"prices read at most {rows.policy.stale_after_days} days ago; run `chargeback rates import`"
            )
            yield Finding((*path, "fetched_at"), f"prices read {days} days ago", expected)


def rewritten(old: Rows, new: Rows, until: datetime) -> Iterator[Finding]:
    """Yield every price before ``until`` that ``new`` tells otherwise than ``old``, which billed by it.

    History is appended: an interval may be ended at or after ``until``, and new ones may follow.
    """
    known = {
        _name(rate, region): (index, rate) for index, rate in enumerate(new.rates) for region in rate.region
    }
    for rate in old.rates:
        if rate.effective_from >= until:
            continue
        for region in rate.region:
            index, now = known.get(_name(rate, region), (None, None))
            told = f"{rate.model} {rate.deployment_type} {region} from {instant_text(rate.effective_from)}"
            expected = f"history as it billed a closed month (before {instant_text(until)})"
            if now is None or index is None:
                yield Finding(("rates",), f"no rate {told} any more", expected)
            elif _prices(now) != _prices(rate):
                yield Finding(("rates", index, "meters"), f"other prices for {told}", expected)
            elif _end(now, until) != _end(rate, until):
                yield Finding(("rates", index, "effective_to"), f"another end for {told}", expected)


def _name(rate: Rate, region: str) -> tuple[str, ...]:
    start = instant_text(rate.effective_from)
    return (rate.model, rate.deployment_type, region, rate.service_tier, rate.context_tier, start)


def _prices(rate: Rate) -> bytes:
    bare = {
        name: (str(meter.price), meter.per, meter.free, meter.same_as) for name, meter in rate.meters.items()
    }
    return msgspec.json.encode(bare, order="sorted")


def _end(rate: Rate, until: datetime) -> datetime:
    """Return the end as far as the closed time can see it."""
    return until if rate.effective_to is None else min(rate.effective_to, until) or BEGINNING
