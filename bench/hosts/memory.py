"""Memory of the running consumer, asked of the operating system: resident set, growth, large events.

    resident   4 KB events from 4 partitions until caches are full, then the resident set
    growth     the same for ``GROWTH_EVENTS`` more, by the slope between the first and the last third, per million
    large      200 KB events, as API Management cuts them, faster than they can be billed: what waits is bounded by bytes
    one        a single event of 1 MB, the most a hub takes: peak beyond what was resident before

Ids differ from event to event. Telemetry is confirmed and the journal is written throughout.
"""

import os
import statistics
from collections.abc import Iterator

from measure import Check, Figure, Options

from hosts.end_to_end import PARTITIONS, Stage, stage
from hosts.parent import Child, until

MB = 1_000_000
WARM_UP_EVENTS = 30_000
GROWTH_EVENTS = int(os.environ.get("BENCH_GROWTH_EVENTS", "60000"))
"""A million takes ten minutes on two cores: set the variable to see it."""
A_MILLION = 1_000_000
LARGE_EVENTS = 600
LARGE_WORDS = 12_500
PREFETCH_BYTES = 64 * 1024 * 1024


def figures(options: Options) -> Iterator[Figure]:
    if options.wants("memory"):
        with stage(options, 3000) as on:
            yield _small(on)
    if options.wants("memory-large"):
        with stage(options, LARGE_EVENTS, LARGE_WORDS, in_parts=0) as on:
            yield _large(on)


def _small(on: Stage) -> Figure:
    on.broker.ask("open", hub="small", partitions=PARTITIONS)
    with Child("consumer", env=on.env("small")) as consumer:
        until(lambda: consumer.ask("status")["partitions"] == PARTITIONS)
        total, marks = 0, list[tuple[int, float]]()
        while total < WARM_UP_EVENTS + GROWTH_EVENTS:
            total += on.broker.ask("feed", hub="small", rounds=1)["events"]
            _reached(consumer, total)
            on.broker.ask("forget", hub="small", keep=100)
            told = consumer.ask("status")
            marks.append((told["events"], told["resident"]))
        before = consumer.ask("status")["peak"]
        on.broker.ask("one", hub="small", size=1_000_000)
        _reached(consumer, total + 1)
        after = consumer.ask("status")
    late = [mark for mark in marks if mark[0] >= WARM_UP_EVENTS]
    third = max(1, len(late) // 3)
    first, last = late[:third], late[-third:]
    grown = statistics.mean(mark[1] for mark in last) - statistics.mean(mark[1] for mark in first)
    over = statistics.mean(mark[0] for mark in last) - statistics.mean(mark[0] for mark in first)
    resident = late[-1][1] / MB
    growth = grown / over * 1e6 / MB
    return Figure(
        name="memory",
        what=f"resident set of a running consumer after {late[-1][0]:,} events of 4 KB",
        unit="MB",
        ours=resident,
        others={
            "growth per 1,000,000 events": growth,
            "peak of one 1 MB event": (after["peak"] - before) / MB,
        },
        checks=(Check("MB resident", resident, 220), *_bound(growth)),
        note=f"growth measured over the {over:,.0f} events between the first and the last third after the warm-up",
    )


def _large(on: Stage) -> Figure:
    on.broker.ask("open", hub="large", partitions=PARTITIONS)
    env = {**on.env("large"), "CHARGEBACK_PREFETCH_BYTES": str(PREFETCH_BYTES)}
    with Child("consumer", env=env) as consumer:
        until(lambda: consumer.ask("status")["partitions"] == PARTITIONS)
        on.broker.ask("fill", hub="large", first=2)
        until(lambda: consumer.ask("status")["events"] >= 2 * PARTITIONS)
        start = consumer.ask("status")["resident"]
        on.broker.ask("fill", hub="large")
        _reached(consumer, on.drawn["events"])
        peak = consumer.ask("status")["peak"]
    waiting = on.drawn["bytes"] / MB
    return Figure(
        name="memory-large",
        what=f"peak of a consumer while {on.drawn['events']:,} events of {on.drawn['bytes'] / on.drawn['events'] / 1000:,.0f} KB come in",
        unit="MB",
        ours=peak / MB,
        others={
            "resident before": start / MB,
            "bytes that came": waiting,
            "CHARGEBACK_PREFETCH_BYTES": PREFETCH_BYTES / MB,
        },
        checks=(
            Check(
                "x the bytes it may prefetch, beyond what was resident", (peak - start) / PREFETCH_BYTES, 2
            ),
        ),
    )


def _bound(growth: float) -> tuple[Check, ...]:
    """Growth must hold once caches are full; a short run sees them fill."""
    return (Check("MB growth a million events", growth, 10),) if GROWTH_EVENTS >= A_MILLION else ()


def _reached(consumer: Child, events: int) -> None:
    until(lambda: consumer.ask("status")["events"] >= events, seconds=600)
