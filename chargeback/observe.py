"""Every log event of the worker: its name, what it means and what to do about it.

Logs are for people who run the worker, never for billing. A line is the constant name and fields; no field
may hold customer text, a key or a token.
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
    "telemetry.not_all_confirmed",
]


class LogEvent(Struct, frozen=True):
    """What a name stands for."""

    level: int
    meaning: str
    remedy: str


LOG_EVENTS: dict[LogName, LogEvent] = {
    "batch.committed": LogEvent(logging.INFO, "A batch is in the journal; fields count its rows.", "None."),
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
        "An event could not be billed; its bytes are a dead letter.",
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
    "telemetry.not_all_confirmed": LogEvent(
        logging.WARNING,
        "A request to Application Insights left items refused or without a certain answer.",
        "None while the backlog shrinks; the fields tell the last answer and the alarm.",
    ),
}

_log = logging.getLogger("chargeback")


def log(name: LogName, **fields: Any) -> None:
    """Write one line: the name, then the fields as JSON, for the Functions host forwards text only."""
    level = LOG_EVENTS[name].level
    if _log.isEnabledFor(level):
        _log.log(
            level, "%s %s", name, json.dumps(fields, default=str), extra={"event": name, "fields": fields}
        )
