"""Rows of a journal, and the tables Application Insights, the gateway and the worker's log would show for them.

Three sources: the sample week, calls put together at random from several rows, and single cases by hand.
"""

import json
import logging
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from chargeback.charge import Charge, rank
from chargeback.custom_events import alias_event, custom_event
from chargeback.event import Event
from chargeback.facts import Facts
from chargeback.journal.rows import BillingRow, Identity, Rerated
from chargeback.journal.winner import Call, facts_of
from chargeback.telemetry import CustomEvent
from chargeback.worker import Worker
from tests.contract.memory import MemoryStorage
from tests.support.calls import Counts
from tests.support.charges import CONTEXT, rows_of
from tests.support.events import STREAM, events_of
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

SAMPLES = Path(__file__).parents[2] / "samples" / "events"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MONDAY = datetime(2026, 11, 9, tzinfo=UTC)


def sample_week() -> list[BillingRow]:
    """Every event of ``samples/events``, billed."""
    bodies: list[bytes] = []
    for file in sorted(SAMPLES.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            told = json.loads(line)
            body = told.get("body", told) if isinstance(told, dict) else told
            bodies.append(body.encode() if isinstance(body, str) else json.dumps(body).encode())
    return rows_of(*bodies)


def of_several_rows(count: int, seed: int) -> list[BillingRow]:
    """Calls of one to four charges and up to two identities, each knowing a part of who and where."""
    dice = random.Random(seed)
    [model] = [row for row in sample_week() if isinstance(row, Charge) and row.rating == "priced"][:1]
    return [row for number in range(count) for row in _one_call(dice, model, number)]


def _one_call(dice: random.Random, model: Charge, number: int) -> Iterable[BillingRow]:
    charge_id = f"{number:032x}"
    whole = facts_of(model)
    at = MONDAY + timedelta(seconds=dice.randrange(9 * 24 * 3600), microseconds=dice.randrange(1_000_000))
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        source, truncated = (
            dice.choice(("reported", "reported", "gateway", "estimated", "missing")),
            dice.random() < 0.3,
        )
        event = _event(dice)
        prompt = dice.choice((100, 100, 200))
        cost = Decimal(dice.randrange(1, 10**6)).scaleb(-dice.choice((6, 9, 15)))
        priced = dice.random() < 0.8
        yield msgspec.structs.replace(
            model,
            **msgspec.structs.asdict(_partly(dice, whole, at))
            | {"operation": dice.choice(("unknown", "chat"))},
            charge_id=charge_id,
            row_id=f"{event}/0",
            enqueued_at=at + timedelta(seconds=dice.randrange(60)),
            source_format=dice.choice(("F7", "F7", "v1")),
            usage_source=source,
            truncated=truncated,
            rank=rank(truncated=truncated, source=source, event=event, index=0),
            prompt_tokens=dice.choice((prompt, prompt, None)),
            cached_tokens=dice.choice((0, None)),
            total_tokens=prompt + 20,
            quantities=dice.choice((None, None, {}, {"output_image": Decimal(3)})),
            cost_centre=dice.choice(("CC-100", "CC-200", None)),
            rating="priced" if priced else dice.choice(("unpriced", "pooled", "unmetered", "not_billable")),
            rating_reason=None if priced else "no_rate",
            prompt_cost=cost if priced else None,
            completion_cost=Decimal(0) if priced else None,
            total_cost=cost if priced else None,
        )
    for _ in range(dice.choice((0, 0, 1, 2))):
        event = _event(dice)
        yield Identity(
            charge_id=charge_id,
            row_id=f"{event}/0",
            source_format=dice.choice(("v1", "F13")),
            rank=rank(truncated=False, source="missing", event=event, index=0),
            facts=_partly(dice, whole, at),
            cost_centre=dice.choice(("CC-300", "CC-400", None)),
        )


def _event(dice: random.Random) -> Event:
    stream = msgspec.structs.replace(STREAM, partition=str(dice.randrange(4)))
    number = dice.randrange(10**9)
    return Event(stream=stream, sequence_number=number, position=number, body=b"", enqueued_at=None)


def _partly(dice: random.Random, whole: Facts, at: datetime) -> Facts:
    """Some facts are lacking, and some differ from row to row, so that a wrong order shows."""
    known: dict[str, Any] = {
        name: f"{value}-{dice.randrange(5)}" if isinstance(value, str) else value
        for name, value in msgspec.structs.asdict(whole).items()
        if dice.random() < 0.5
    }
    key = f"{dice.randrange(2**128):032x}"
    return Facts(**known | {"occurred_at": at, "operation": "chat", "subscription_key_id": key})


def rerated(found: Iterable[Call], seed: int) -> list[Rerated]:
    """Two rating runs over some of the calls; the second came later but its table's name sorts first."""
    dice = random.Random(seed)
    runs = ("rates-z-20261118T080000Z", "rates-a-20261119T080000Z")
    return [
        Rerated(
            run=run,
            row_id=f"{run}/{call.charge.charge_id}",
            charge=msgspec.structs.replace(
                call.charge,
                total_cost=Decimal(dice.randrange(10**6)).scaleb(-6),
                rating="priced",
                cost_centre="CC-900",
            ),
            previous_cost=None,
            previous_rating="unpriced",
            previous_cost_centre=None,
            previous_version=None,
        )
        for run in runs
        for call in found
        if dice.random() < 0.3
    ]


def newest_rating(call: Call, runs: Iterable[Rerated]) -> Call:
    """What every reader takes: the newest run, if it rated the very row that wins."""
    told = [row for row in runs if row.charge.charge_id == call.charge.charge_id]
    newest = max(told, key=lambda row: row.run[-16:], default=None)
    if newest is None or call.conflict or newest.charge.row_id != call.charge.row_id:
        return call
    return msgspec.structs.replace(call, charge=newest.charge)


def events_of_rows(rows: Iterable[BillingRow]) -> list[CustomEvent]:
    return [event for row in rows if (event := custom_event(row)) is not None]


def with_aliases(events: Iterable[CustomEvent]) -> list[CustomEvent]:
    return [each for event in events for each in (event, alias_event(event)) if each is not None]


# ---- tables


def instant(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")


def event_tables(events: Iterable[CustomEvent], *, again: int = 0) -> dict[str, Any]:
    """Both scopes' tables of events. Every ``again``-th arrives a second time, an hour later."""
    rows: list[list[Any]] = []
    for number, event in enumerate(events):
        properties = json.dumps(dict(event.properties))
        arrived = event.occurred_at + timedelta(minutes=5)
        for _ in range(2 if again and number % again == 0 else 1):
            rows.append([instant(event.occurred_at), event.name, properties, 1, instant(arrived)])
            arrived += timedelta(hours=1)
    return _both("customEvents", "AppEvents", ("timestamp", "name", "customDimensions", "itemCount"), rows)


_TYPES = {
    "timestamp": "TIMESTAMP",
    "customDimensions": "JSON",
    "itemCount": "INTEGER",
    "_arrived": "TIMESTAMP",
}
_THERE = {
    "timestamp": "TimeGenerated",
    "name": "Name",
    "customDimensions": "Properties",
    "itemCount": "ItemCount",
    "message": "Message",
}


def _both(here: str, there: str, columns: tuple[str, ...], rows: list[list[Any]]) -> dict[str, Any]:
    names = (*columns, "_arrived") if len((rows and rows[0]) or ()) > len(columns) else columns
    types = {name: _TYPES.get(name, "VARCHAR") for name in names}
    return {
        here: {"columns": types, "rows": rows},
        there: {"columns": {_THERE.get(name, name): kind for name, kind in types.items()}, "rows": rows},
    }


def log_tables(lines: Iterable[tuple[datetime, str, dict[str, Any]]]) -> dict[str, Any]:
    """The worker's log: instant, name, fields, as ``observe.log`` writes them; among lines of others."""
    rows = [[instant(at), f"{name} {json.dumps(fields)}"] for at, name, fields in lines]
    return _both(
        "traces", "AppTraces", ("timestamp", "message"), [*rows, [instant(NOW), "Host started (12ms)"]]
    )


def line_of_batch(bodies: Iterable[bytes], *, lag: timedelta) -> dict[str, Any]:
    """Return the fields of the line that the worker itself writes of a batch, so long after the hub got it."""
    ledger = MemoryStorage().ledger(writer="w", now=lambda: NOW)
    worker = Worker(ledger, lambda: CONTEXT, None, now=lambda: NOW + lag, monotonic=lambda: 0.0, budget_s=1)
    told: list[dict[str, Any]] = []
    listener = logging.Handler()
    listener.emit = lambda record: told.append(record.fields)  # type: ignore[attr-defined]
    log = logging.getLogger("chargeback")
    level = log.level
    log.addHandler(listener)
    log.setLevel(logging.INFO)
    worker.commit(events_of(bodies, start=NOW, every=timedelta(0)))
    log.removeHandler(listener)
    log.setLevel(level)
    return told[-1]


def good_bodies(count: int) -> list[bytes]:
    """One whole event a call, priced and counted by the service."""
    usage = Counts(prompt=100, completion=20)
    return [
        render(a_call(CALLERS["shop"], ROUTES["chat"], NOW, n, usage=usage), "v1")[0]
        for n in range(1, count + 1)
    ]


def gateway_tables(
    calls: Iterable[tuple[datetime, str, int, int | None]], deployment: str = "chat"
) -> dict[str, Any]:
    """The gateway's own records: instant, request id, status, tokens of its LLM log (None: it has none)."""
    calls = list(calls)
    url = "https://gateway.example/openai/deployments/chat/chat/completions"
    other = [instant(NOW - timedelta(days=3)), "https://gateway.example/orders"]
    return {
        "requests": {
            "columns": {
                "timestamp": "TIMESTAMP",
                "url": "VARCHAR",
                "resultCode": "VARCHAR",
                "customDimensions": "JSON",
            },
            "rows": [
                *(
                    [instant(at), url, str(status), json.dumps({"Request Id": name})]
                    for at, name, status, _ in calls
                ),
                [*other, "200", "{}"],
            ],
        },
        "ApiManagementGatewayLogs": {
            "columns": {
                "TimeGenerated": "TIMESTAMP",
                "Url": "VARCHAR",
                "ResponseCode": "INTEGER",
                "CorrelationId": "VARCHAR",
            },
            "rows": [
                *([instant(at), url, status, name] for at, name, status, _ in calls),
                [*other, 200, "other"],
            ],
        },
        "ApiManagementGatewayLlmLog": {
            "columns": {
                "TimeGenerated": "TIMESTAMP",
                "CorrelationId": "VARCHAR",
                "DeploymentName": "VARCHAR",
                "TotalTokens": "INTEGER",
            },
            "rows": [
                [instant(at), name, deployment, tokens] for at, name, _, tokens in calls if tokens is not None
            ],
        },
    }
