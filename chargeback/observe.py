"""What the worker says of itself: every log event, every figure of its health, every reason of a reject.

Logs are for people who run the worker, never for billing. A line is the constant name and fields; no field
may hold customer text, a key or a token. Metrics are fields of lines and of the consumer's status: nothing
is sent for them, and nothing is counted per event.
"""

import json
import logging
from typing import Any, Literal

from msgspec import Struct

LogName = Literal[
    "batch.committed",
    "batch.gap",
    "batch.overtaken",
    "batch.retried",
    "batch.skipped",
    "consume.interrupted",
    "consume.redelivered",
    "consume.started",
    "consume.status",
    "consume.stopped",
    "consume.stuck",
    "consume.unbalanced",
    "consume.waiting",
    "dead_letters.swept",
    "event.rejected",
    "expiry.charged",
    "expiry.postponed",
    "gap.repaired",
    "outbox.alarm",
    "outbox.backlog",
    "outbox.refused",
    "rates.loaded",
    "rates.refused",
    "rejects.high",
    "settle.done",
    "telemetry.not_all_confirmed",
]


class LogEvent(Struct, frozen=True):
    """What a name stands for."""

    level: int
    meaning: str
    remedy: str


LOG_EVENTS: dict[LogName, LogEvent] = {
    "batch.committed": LogEvent(
        logging.INFO,
        "A batch is in the journal; its fields are metrics.",
        "See the metric that is not healthy.",
    ),
    "batch.gap": LogEvent(
        logging.ERROR,
        "Sequence numbers are missing: the platform moved the checkpoint past events nobody processed.",
        "Repair the range from the hub or from Capture before closing the period.",
    ),
    "batch.overtaken": LogEvent(
        logging.WARNING,
        "Another worker wrote this partition's journal; the batch was admitted again.",
        "None if it is rare; often means two deployments share one ledger and consumer group.",
    ),
    "batch.retried": LogEvent(
        logging.WARNING,
        "The host delivers a batch again, because the last attempt raised.",
        "Look at the exception of the attempt; the partition waits until it is mended.",
    ),
    "batch.skipped": LogEvent(logging.INFO, "A redelivered batch was in the journal already.", "None."),
    "consume.interrupted": LogEvent(
        logging.INFO,
        "The hub cut a partition's connection, or another process took the partition over.",
        "None; it is read on from its checkpoint.",
    ),
    "consume.redelivered": LogEvent(
        logging.WARNING,
        "A batch could not be committed; its partition was released and reads from the checkpoint again.",
        "None if it passes. The field `error` says what was out of reach.",
    ),
    "consume.started": LogEvent(logging.INFO, "A partition is read by this process from now on.", "None."),
    "consume.status": LogEvent(
        logging.INFO,
        "How fast this consumer is, how many events wait in the hub (lag) and how many journals wait for "
        "telemetry (backlog).",
        "A lag that grows for hours needs more processes, up to one a partition.",
    ),
    "consume.stopped": LogEvent(
        logging.INFO, "A partition is no longer read by this process.", "None; another process takes it."
    ),
    "consume.stuck": LogEvent(
        logging.ERROR,
        "The same batch failed five times or more; its partition does not advance.",
        "Mend what the field `error` names before the hub's retention ends.",
    ),
    "consume.unbalanced": LogEvent(
        logging.WARNING,
        "Partitions could not be shared out among the processes: the checkpoint storage is out of reach.",
        "None if it passes; partitions that are owned go on.",
    ),
    "consume.waiting": LogEvent(
        logging.ERROR,
        "This process cannot start: the hub or the checkpoint storage does not answer. It tries on.",
        "None if it passes; else run `chargeback doctor` with the same settings.",
    ),
    "dead_letters.swept": LogEvent(
        logging.INFO, "Dead letters past CHARGEBACK_DEAD_LETTER_DAYS were deleted.", "None."
    ),
    "event.rejected": LogEvent(
        logging.WARNING,
        "An event could not be billed; its bytes are a dead letter. The first five of a batch are told.",
        "Look at the reason; mend the policy, then requeue the dead letter.",
    ),
    "expiry.charged": LogEvent(
        logging.WARNING,
        "Parts of calls did not come in time; what had come was billed as truncated.",
        "Check the gateway's delivery to the hub if it is frequent.",
    ),
    "expiry.postponed": LogEvent(
        logging.WARNING,
        "Expired parts could not be billed in this round of the timer.",
        "None if it passes; the next round does it. The field `error` says what was out of reach.",
    ),
    "gap.repaired": LogEvent(
        logging.INFO, "Events of a gap were read again and billed; `missing` are still not found.", "None."
    ),
    "outbox.alarm": LogEvent(
        logging.ERROR,
        "Application Insights refuses us for a reason that waiting does not mend.",
        "See the field `alarm`: daily cap, missing role, ingestion sampling, wrong endpoint.",
    ),
    "outbox.backlog": LogEvent(
        logging.WARNING,
        "Charges are journaled but not yet confirmed by Application Insights.",
        "None while it shrinks; billing does not depend on it.",
    ),
    "outbox.refused": LogEvent(
        logging.ERROR,
        "Application Insights will never accept these events; they are dead letters, the bill is complete.",
        "Look at status and message of the dead letter.",
    ),
    "rates.loaded": LogEvent(logging.INFO, "A rate table is in use from the next batch on.", "None."),
    "rates.refused": LogEvent(
        logging.ERROR,
        "The changed rate table has faults; the last good one stays in use.",
        "Run `chargeback rates check` on it.",
    ),
    "rejects.high": LogEvent(
        logging.ERROR,
        "More than half of the last 500 events were rejected.",
        "A policy writes what the worker cannot read: look at the reasons in `event.rejected`.",
    ),
    "settle.done": LogEvent(
        logging.INFO,
        "The timer's round is over: expired calls are billed, and what could be sent is sent.",
        "None. Without this line for some minutes the worker does not run.",
    ),
    "telemetry.not_all_confirmed": LogEvent(
        logging.WARNING,
        "A request to Application Insights left items refused or without a certain answer.",
        "None while the backlog shrinks; the fields tell the last answer and the alarm.",
    ),
}

MetricName = Literal[
    "lag_s",
    "lag",
    "batch_s",
    "events",
    "events_per_s",
    "skipped",
    "redelivered",
    "rejects",
    "unpriced",
    "estimated",
    "conflicts",
    "missing",
    "pending",
    "pending_age_s",
    "backlog",
    "backlog_age_s",
]


class Metric(Struct, frozen=True, kw_only=True):
    """One figure of the worker's health, and where it is read."""

    unit: str
    meaning: str
    healthy: str
    remedy: str
    log: LogName | None = None
    """The line whose field it is; both hosts write it, unless its name begins with ``consume``."""
    field: str | None = None
    """Of that line, where it is not the metric's name."""
    status: str | None = None
    """Field of the standalone consumer's status line and health endpoint; there, counts are since the start."""


METRICS: dict[MetricName, Metric] = {
    "lag_s": Metric(
        unit="seconds",
        meaning="From the hub to the journal: the oldest event of a batch, when it was committed.",
        healthy="below 60",
        remedy="More instances or processes, up to one a partition. With a high `batch_s` the storage is slow.",
        log="batch.committed",
        status="lag_s",
    ),
    "lag": Metric(
        unit="events",
        meaning="Behind what was committed, in the hub.",
        healthy="falls, or stays below a batch",
        remedy="As for `lag_s`. Functions has no such field: see the hub's own metrics.",
        log="consume.status",
        status="lag",
    ),
    "batch_s": Metric(
        unit="seconds",
        meaning="To commit one batch: read, rate, dead letters, journal.",
        healthy="below 5",
        remedy="Look at the storage account: its latency, its throttling, its region.",
        log="batch.committed",
        status="batch_s",
    ),
    "events": Metric(
        unit="events",
        meaning="Committed; in the status together with `skipped`.",
        healthy="not 0 while the gateway serves",
        remedy="Run `chargeback doctor`; look whether the gateway's logger reaches the hub.",
        log="batch.committed",
        status="events",
    ),
    "events_per_s": Metric(
        unit="events a second",
        meaning="Committed, since the last status. Queries divide `events` by the time.",
        healthy="as many as the gateway sends",
        remedy="As for `lag_s`.",
        log="consume.status",
        status="events_per_s",
    ),
    "skipped": Metric(
        unit="events",
        meaning="Delivered again, and in the journal already. Of a batch that was all so: `batch.skipped`.",
        healthy="0, but after a restart or a change of owner",
        remedy="If it is steady, two deployments share one ledger and consumer group.",
        log="batch.committed",
        status="skipped",
    ),
    "redelivered": Metric(
        unit="batches",
        meaning="Failed here, and were read again.",
        healthy="0",
        remedy="See `consume.redelivered`; in Functions `batch.retried` and the exception before it.",
        log="consume.status",
        status="redelivered",
    ),
    "rejects": Metric(
        unit="rows",
        meaning="Not billed, a dead letter each; `reasons` counts them by reason.",
        healthy="0",
        remedy="Look the reason up below, mend the policy, then `chargeback dead-letters requeue`.",
        log="batch.committed",
        status="rejects",
    ),
    "unpriced": Metric(
        unit="charges",
        meaning="Without a price: no rate, no deployment, or nothing to count.",
        healthy="0",
        remedy="`unpriced.kql` says why. Mend the rate table, then `chargeback rates apply`.",
        log="batch.committed",
        status="unpriced",
    ),
    "estimated": Metric(
        unit="charges",
        meaning="Tokens were counted by us; divide by `charges` for the share.",
        healthy="steady",
        remedy="Let the gateway ask for usage in streams (docs/gateway-policies.md); see `not-certain.kql`.",
        log="batch.committed",
        status="estimated",
    ),
    "conflicts": Metric(
        unit="charges",
        meaning="Contradict an earlier one of their call in the batch. Over batches `not-certain.kql` counts them.",
        healthy="0",
        remedy="`chargeback explain` shows both; look for two loggers with one name.",
        log="batch.committed",
        status="conflicts",
    ),
    "missing": Metric(
        unit="events",
        meaning="In gaps: the platform's checkpoint went past them, nobody processed them.",
        healthy="0",
        remedy="`chargeback repair`, while the hub or Capture has them.",
        log="batch.committed",
        status="missing",
    ),
    "pending": Metric(
        unit="calls",
        meaning="Of a partition, that wait for further parts after a batch.",
        healthy="as many as are under way",
        remedy="If it grows, one of the parts does not come: look at the policy that splits bodies.",
        log="batch.committed",
        status="pending",
    ),
    "pending_age_s": Metric(
        unit="seconds",
        meaning="Since the last part of the call that has waited longest.",
        healthy="below 900",
        remedy="Older ones are billed as truncated (`expiry.charged`). Look whether the timer runs.",
        log="batch.committed",
        status="pending_age_s",
    ),
    "backlog": Metric(
        unit="journals",
        meaning="Hold charges that Application Insights has not confirmed, as far as the process knows.",
        healthy="0, or falls",
        remedy="See `outbox.alarm` and `telemetry.not_all_confirmed`. Billing is complete without it.",
        log="settle.done",
        status="backlog",
    ),
    "backlog_age_s": Metric(
        unit="seconds",
        meaning="Since the hub got the oldest event of those. The owner of a busy journal tells it in `outbox.backlog`.",
        healthy="none, or falls; below 3600",
        remedy="As for `backlog`.",
        log="settle.done",
        field="oldest_age_s",
        status="oldest_unsent_s",
    ),
}


REJECT_REASONS: dict[str, str] = {
    "bad_field": "One of our own events has a field that cannot be right: the policy fragment was changed.",
    "cut_part": "A part of a body was cut by the gateway; make parts smaller (docs/gateway-policies.md).",
    "cut_record": "The last record of an event was cut; records before it are billed.",
    "empty": "No body, or an empty array.",
    "not_an_object": "JSON, but neither an object nor an array of objects.",
    "not_json": "Not JSON, and nothing to save from it.",
    "too_large": "Its rows do not fit into one append.",
    "too_many_records": "More records than a gateway writes into one event.",
    "unknown_format": "None of docs/formats.md: another producer, or a policy that was changed.",
    "unknown_version": "Our own events in a version this worker does not know: update it.",
}
"""Closed: a count by reason has this many series at most. What each says, and so whom to ask."""


_log = logging.getLogger("chargeback")


def log(name: LogName, **fields: Any) -> None:
    """Write one line: the name, then the fields as JSON, for the Functions host forwards text only."""
    level = LOG_EVENTS[name].level
    if _log.isEnabledFor(level):
        _log.log(
            level, "%s %s", name, json.dumps(fields, default=str), extra={"event": name, "fields": fields}
        )
