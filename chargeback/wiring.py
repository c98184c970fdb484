"""Settings to a running worker: the only place that chooses implementations and owns the clock."""

import functools
import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from chargeback.errors import UsageError
from chargeback.outbox import Sender
from chargeback.pipeline import Context
from chargeback.ports import Ledger
from chargeback.rate_tables import RateTables
from chargeback.settings import Settings
from chargeback.worker import Worker


def now() -> datetime:
    return datetime.now(UTC)


def writer() -> str:
    """Name this process in commits: host and process id, enough to find who wrote."""
    return f"{socket.gethostname()}:{os.getpid()}"


def open_ledger(where: str | None, settings: Settings) -> Ledger:
    """Open a folder, or a container of the storage. Raises UsageError when neither is named."""
    where = where or settings.ledger
    if not where:
        raise UsageError(
            "no ledger: give --ledger FOLDER or set CHARGEBACK_LEDGER to a folder or a container"
        )
    if not is_folder(where):
        raise UsageError(f"ledger {where!r}: expected a folder such as ./ledger")
    from chargeback.journal.local import ledger  # noqa: PLC0415  one storage is enough

    return ledger(Path(where), writer=writer(), now=now)


def is_folder(where: str) -> bool:
    """True for what looks like a path; a bare name is a container."""
    return any(sign in where for sign in "/\\.~") or Path(where).is_dir()


def open_sender(settings: Settings) -> Sender | None:
    """Return the confirming transport, or None when telemetry is off or has nowhere to go."""
    if settings.telemetry == "none" or settings.application_insights is None:
        return None
    from chargeback.sinks import envelopes  # noqa: PLC0415  only if telemetry is on
    from chargeback.sinks.application_insights import ApplicationInsights  # noqa: PLC0415  as above
    from chargeback.sinks.connection_string import entra_credential  # noqa: PLC0415  as above

    opencensus = settings.telemetry == "opencensus"
    return ApplicationInsights(
        settings.application_insights.get_secret_value(),
        clock=now,
        role_instance=writer(),
        builder=envelopes.opencensus_builder() if opencensus else envelopes.with_applicationinsights,
        credential=entra_credential(settings.application_insights_authentication or ""),
        deadline_s=settings.telemetry_deadline_s,
    )


def context_of(settings: Settings, ledger: Ledger) -> Callable[[], Context]:
    """Return what gives each batch its snapshot: privacy, join timeout and the rate table of now."""
    if not settings.rates:
        raise UsageError("no rate table: set CHARGEBACK_RATES to the table's file")
    path = Path(settings.rates)
    tables = RateTables(lambda: path.read_text("utf-8"), str(path), ledger, monotonic=time.monotonic)
    privacy = settings.privacy

    def context() -> Context:
        return Context(privacy=privacy, table=tables.current(), join_timeout=settings.join_timeout)

    return context


def make_worker(settings: Settings) -> Worker:
    """Put the worker together; nothing is read or connected before the first batch."""
    ledger = open_ledger(None, settings)
    return Worker(
        ledger,
        context_of(settings, ledger),
        open_sender(settings),
        now=now,
        monotonic=time.monotonic,
        budget_s=settings.telemetry_deadline_s,
    )


@functools.cache
def settings() -> Settings:
    return Settings.load()


@functools.cache
def worker() -> Worker:
    """Return this process's worker, made on first use: importing a host must touch nothing."""
    return make_worker(settings())
