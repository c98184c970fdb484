"""What a million events cost on Flex Consumption: measured quantities times prices you can change.

    python bench/hosts/cost.py [--batch-ms 140] [--memory-gb 2] [--event-hub-units 1] [--price write=0.055 ...]

Prints the table of docs/performance.md. Prices are an assumption: list prices of East US in dollars, as remembered
in November 2026 and not looked up; replace them by yours.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from chargeback.custom_events import custom_event
from chargeback.event import Event, Stream
from chargeback.exchange import JoinState
from chargeback.journal.rows import encode
from chargeback.pipeline import Context, process
from chargeback.rates.load import parse
from chargeback.sinks import envelopes
from hosts.hub_traffic import traffic
from tests.support import oracle

MILLION = 1_000_000
BATCH = 100
PRICES = {
    "gb_s": 0.000026,  # a GB-second of execution on demand
    "executions": 0.40,  # a million executions
    "ingress": 0.028,  # a million events of up to 64 KB
    "unit_hour": 0.03,  # a throughput unit of Event Hubs Standard for an hour
    "write": 0.05,  # 10,000 write operations, hot, locally redundant
    "stored": 0.018,  # a GB for a month, hot, locally redundant
    "telemetry": 2.30,  # a GB ingested by Application Insights
}
WRITES = {
    "append to the journal": 1,
    "outbox cursor": 1,
    "pending state, while calls in parts wait": 1,
    "the host's checkpoint": 1,
}
"""Write operations a batch; deletions are free, and nothing is read back."""


def sizes() -> tuple[float, float, float]:
    """Bytes of an event, of its journal rows and of its customEvents."""
    drawn = traffic(9, 1000, 1)
    table = parse(Path(oracle.SAMPLE_RATES).read_text("utf-8"), source="sample")
    stream, now = Stream("contoso.servicebus.windows.net", "usage", 1, "0"), datetime.now(UTC)
    events = [
        Event(stream=stream, sequence_number=number, position=number, body=body, enqueued_at=now)
        for number, body in enumerate(drawn.partitions[0])
    ]
    rows = [row for entry in process(events, JoinState(), Context(table=table)).entries for row in entry.rows]
    origin = envelopes.Origin(instrumentation_key="0" * 36, role="azure-openai-chargeback")
    sent = [
        envelopes.encode(event, now=now, origin=origin, builder=envelopes.with_applicationinsights)
        for event in map(custom_event, rows)
        if event
    ]
    count = len(events)
    return (
        sum(len(event.body) for event in events) / count,
        sum(len(encode(row)) for row in rows) / count,
        sum(map(len, sent)) / count,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--batch-ms", type=float, default=140, help=f"of {BATCH} events, see the figure `functions`"
    )
    parser.add_argument("--memory-gb", type=float, default=2, help="of an instance")
    parser.add_argument("--event-hub-units", type=float, default=1, help="how full a unit runs: 1 is full")
    parser.add_argument(
        "--price", action="append", default=[], metavar="NAME=DOLLARS", help=", ".join(PRICES)
    )
    args = parser.parse_args()
    price = PRICES | {name: float(value) for name, _, value in (each.partition("=") for each in args.price)}
    event, row, envelope = sizes()
    batches = MILLION / BATCH
    gb_s = batches * args.batch_ms / 1000 * args.memory_gb
    unit_hours = MILLION * event / 1e6 / 3600 / args.event_hub_units
    writes = batches * sum(WRITES.values())
    lines = (
        (
            f"execution: {batches:,.0f} batches x {args.batch_ms:g} ms x {args.memory_gb:g} GB",
            f"{gb_s:,.0f} GB-s",
            "gb_s",
            gb_s,
        ),
        ("executions", f"{batches:,.0f}", "executions", batches / MILLION),
        ("Event Hubs, events", "1,000,000", "ingress", 1),
        (
            f"Event Hubs, {event * MILLION / 1e9:.1f} GB at 1 MB/s a unit",
            f"{unit_hours:.2f} unit hours",
            "unit_hour",
            unit_hours,
        ),
        (f"storage, {sum(WRITES.values())} writes a batch", f"{writes:,.0f}", "write", writes / 10_000),
        ("storage, the journal for a month", f"{row * MILLION / 1e9:.2f} GB", "stored", row * MILLION / 1e9),
        ("Application Insights", f"{envelope * MILLION / 1e9:.2f} GB", "telemetry", envelope * MILLION / 1e9),
    )
    print("| what | quantity | price ($) | cost ($) |\n|---|---|---|---|")
    for what, quantity, name, times in lines:
        print(f"| {what} | {quantity} | `{name}` {price[name]:g} | {times * price[name]:.3f} |")
    total = sum(times * price[name] for _, _, name, times in lines)
    print(f"| **a million events** | | | **{total:.2f}** |")


if __name__ == "__main__":
    main()
