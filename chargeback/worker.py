"""The worker of one process: batches of any stream in, journals and telemetry out, and the timer's round.

Hosts (Functions, consumer, tests) call ``bill`` for a batch and ``settle`` now and then; nothing else.
"""

import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct

from chargeback import observe
from chargeback.errors import RetryError
from chargeback.event import Event
from chargeback.expiry import expire_silent
from chargeback.outbox import Sender, drain
from chargeback.pipeline import Context
from chargeback.ports import Ledger
from chargeback.stream_worker import Handled, StreamWorker

PAUSE_S = 30.0
"""After telemetry was not confirmed, batches leave it alone this long; the timer goes on trying."""


class Settled(Struct, frozen=True):
    """What a round of the timer found."""

    expired: int
    backlog: int
    """Journals that hold rows which are not confirmed."""


class Worker:
    """Thread-safe: batches of different streams run side by side, those of one stream in turn."""

    def __init__(
        self,
        ledger: Ledger,
        context: Callable[[], Context],
        sender: Sender | None,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        budget_s: float,
    ) -> None:
        """``sender`` None: no telemetry is wanted. ``budget_s`` bounds one drain."""
        self._ledger = ledger
        self._context = context
        self._sender = sender
        self._now = now
        self._monotonic = monotonic
        self._budget_s = budget_s
        self._lock = threading.Lock()
        self._streams: dict[str, StreamWorker] = {}
        self._resume_at = 0.0

    def bill(self, events: Sequence[Event]) -> Handled:
        """Commit a batch of one stream, then send what can be sent. Raises only before the commit."""
        if not events:
            return Handled()
        name = f"stream/{events[0].stream}"
        handled = self.stream(name).handle(events)
        if self._monotonic() >= self._resume_at:
            self._drain(name)
        return handled

    def stream(self, journal: str) -> StreamWorker:
        """Return the one writer of a journal in this process."""
        with self._lock:
            if journal not in self._streams:
                self._streams[journal] = StreamWorker(
                    self._ledger.journal(journal), self._ledger, self._context
                )
            return self._streams[journal]

    def settle(self) -> Settled:
        """Bill expired parts of silent streams and work off the backlog of every journal."""
        expired = expire_silent(self._ledger, self._context(), self._now(), uuid.uuid4().hex)
        backlog = 0
        for name in self._ledger.journals():
            if not self._drain(name):
                backlog += 1
                if self._monotonic() < self._resume_at:
                    break
        return Settled(expired, backlog)

    def _drain(self, journal: str) -> bool:
        """Send what a journal holds; True when nothing is left. What fails here waits for the next round."""
        if self._sender is None:
            return True
        end = self._monotonic() + self._budget_s
        try:
            done = drain(
                self._ledger.journal(journal),
                self._ledger,
                self._sender,
                may_go_on=lambda: self._monotonic() < end,
            )
        except RetryError as error:
            observe.log("outbox.backlog", journal=journal, error=str(error))
            return False
        if not done.is_empty:
            self._resume_at = self._monotonic() + PAUSE_S
            age = (self._now() - done.oldest_at).total_seconds() if done.oldest_at else None
            observe.log("outbox.backlog", journal=journal, oldest_age_s=age, alarm=done.alarm)
        return done.is_empty
