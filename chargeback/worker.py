"""The worker of one process: batches of any stream in, journals and telemetry out, and the timer's round.

Hosts (Functions, consumer, tests) call ``bill`` for a batch, or its halves ``commit`` and ``send``, and
``settle`` now and then; nothing else.
"""

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from chargeback import observe
from chargeback.errors import RetryError
from chargeback.event import Event
from chargeback.expiry import expire_silent
from chargeback.handled import Handled, timed
from chargeback.outbox import Cursor, Sender, drain
from chargeback.pipeline import Context
from chargeback.ports import Ledger, MovedError
from chargeback.stream_worker import StreamWorker

PAUSE_S = 30.0
"""After telemetry was not confirmed, batches leave it alone this long; the timer goes on trying."""
LEASE = "settle"
LEASE_S = (15, 60)
"""As short as storage grants and a drain allows: a process that is killed keeps its lease until it runs out."""
SWEEP_S = 6 * 3600
_REQUEUED = "source/requeue-"


class Settled(Struct, frozen=True):
    """What a round of the timer found."""

    expired: int
    backlog: int
    """Journals that hold rows which are not confirmed, as far as this process knows."""
    oldest_age_s: float | None = None


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
        pause_s: float = PAUSE_S,
        keep_letters: timedelta | None = None,
    ) -> None:
        """``sender`` None: no telemetry is wanted. ``budget_s`` bounds one drain.

        ``keep_letters``: how long dead letters are kept; None: for ever.
        """
        self._ledger = ledger
        self._context = context
        self._sender = sender
        self._now = now
        self._monotonic = monotonic
        self._budget_s = budget_s
        self._pause_s = pause_s
        self._keep_letters = keep_letters
        self._sweep_at = 0.0
        self._lock = threading.Lock()
        self._streams: dict[str, StreamWorker] = {}
        self._resume_at = 0.0
        self._waiting: dict[str, datetime | None] = {}
        """Journals with a backlog, and when the hub got its oldest event."""
        self._sent: dict[str, str] = {}
        """Journals all of whose rows were confirmed, with the end they had."""
        self._ends: Mapping[str, str] = {}
        """Of the last round."""
        self._cursors: dict[str, Cursor] = {}
        """As this process saved them last; taken out while a drain is at work."""

    def bill(self, events: Sequence[Event]) -> Handled:
        """Commit a batch of one stream, then send what can be sent. Raises only before the commit."""
        handled = self.commit(events)
        if events:
            self.send(journal_of(events[0]))
        return handled

    def commit(self, events: Sequence[Event]) -> Handled:
        """Commit a batch of one stream; what it charged is sent later."""
        if not events:
            return Handled()
        journal, began = journal_of(events[0]), self._monotonic()
        done = self.stream(journal).handle(events)
        if done.committed:
            done = timed(done, self._now(), self._monotonic() - began)
            _tell(journal, done)
        return done

    def send(self, journal: str) -> bool:
        """Send what a stream's journal holds, unless telemetry is known to be down; True when all is sent."""
        return self._monotonic() >= self._resume_at and self._drain(journal, is_ours=True)

    def stream(self, journal: str) -> StreamWorker:
        """Return the one writer of a journal in this process."""
        with self._lock:
            if journal not in self._streams:
                self._streams[journal] = StreamWorker(
                    self._ledger.journal(journal), self._ledger, self._context
                )
            return self._streams[journal]

    def settle(self) -> Settled:
        """Bill expired parts of silent streams and work off the backlog of every journal.

        One process at a time does it; where another one is at work, only what is known here is reported.
        """
        shortest, longest = LEASE_S
        seconds = max(shortest, min(longest, int(self._budget_s) + 5))
        held = self._ledger.leases.hold(LEASE, seconds)
        expired = 0
        if held is not None:
            with held as lease:
                expired = self._expire()
                self._work_off(lease.renew)
                self._sweep()
        oldest = min((at for at in self._waiting.values() if at is not None), default=None)
        age = (self._now() - oldest).total_seconds() if oldest else None
        if held is not None:
            observe.log("settle.done", expired=expired, backlog=len(self._waiting), oldest_age_s=age)
        return Settled(expired, len(self._waiting), age)

    def _expire(self) -> int:
        """What fails here waits for the next round, and must not hold up telemetry."""
        try:
            return expire_silent(self._ledger, self._context(), self._now(), uuid.uuid4().hex)
        except RetryError as error:
            observe.log("expiry.postponed", error=str(error))
            return 0

    def _sweep(self) -> None:
        """Delete dead letters past their days, once in a while."""
        if self._keep_letters is None or self._monotonic() < self._sweep_at:
            return
        self._sweep_at = self._monotonic() + SWEEP_S
        gone = self._ledger.dead_letters.sweep(self._now() - self._keep_letters)
        if gone:
            observe.log("dead_letters.swept", letters=gone, days=self._keep_letters.days)

    def _work_off(self, renew: Callable[[], None]) -> None:
        if self._sender is None:
            return
        ends, before = self._ledger.ends(), self._ends
        self._ends = ends
        for name, end in ends.items():
            # A replay is sent by the one who replays, if at all.
            is_replay = name.startswith("source/") and not name.startswith(_REQUEUED)
            # What grew since the last round has an owner, who sends: two at once would send everything twice.
            is_busy = before.get(name, end) != end and name not in self._waiting
            if is_replay or is_busy or self._sent.get(name) == end:
                continue
            if self._drain(name):
                self._sent[name] = end
            elif self._monotonic() < self._resume_at:
                return
            try:
                renew()
            except MovedError:
                return  # the lease ran out; another process goes on

    def _drain(self, journal: str, *, is_ours: bool = False) -> bool:
        """Send what a journal holds; True when nothing is left. What fails here waits for the next round.

        ``is_ours``: this process wrote it, and knows without asking where it ends and what was sent of it.
        """
        if self._sender is None:
            return True
        end = self._monotonic() + self._budget_s
        log = self._ledger.journal(journal)
        cursor = self._cursors.pop(journal, None)
        try:
            done = drain(
                log,
                self._ledger,
                self._sender,
                may_go_on=lambda: self._monotonic() < end,
                until=log.committed() if is_ours else None,
                cursor=cursor if is_ours else None,
            )
        except RetryError as error:
            observe.log("outbox.backlog", journal=journal, error=str(error))
            return False
        if done.cursor is not None:
            self._cursors[journal] = done.cursor
        if done.is_empty:
            self._waiting.pop(journal, None)
            return True
        self._waiting[journal] = done.oldest_at
        if not done.is_slow:
            self._resume_at = self._monotonic() + self._pause_s
        age = (self._now() - done.oldest_at).total_seconds() if done.oldest_at else None
        observe.log("outbox.backlog", journal=journal, oldest_age_s=age, alarm=done.alarm)
        return False


def _tell(journal: str, done: Handled) -> None:
    """Write the batch's line: the worker's health by name, see ``observe.METRICS``."""
    observe.log(
        "batch.committed",
        journal=journal,
        events=done.committed,
        skipped=done.skipped,
        rows=done.rows,
        charges=done.charges,
        rejects=done.rejects,
        reasons=dict(done.reasons),
        unpriced=done.unpriced,
        estimated=done.estimated,
        conflicts=done.conflicts,
        missing=done.missing,
        pending=done.pending,
        pending_age_s=done.pending_age_s,
        lag_s=done.lag_s,
        batch_s=done.batch_s,
    )


def journal_of(event: Event) -> str:
    """Name the journal of an event's stream."""
    return f"stream/{event.stream}"
