"""One batch of one stream, from events to committed rows: the use case every host shares.

The order is the guarantee: dead letters and pending state are stored first, the commit makes the rows
count, telemetry follows from the journal. Whatever fails before the commit is done again by the next
delivery of the same batch, and changes nothing that was committed.
"""

import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from chargeback import exchange, observe
from chargeback.errors import RejectError, RetryError, StopError
from chargeback.event import Event
from chargeback.exchange import JoinState
from chargeback.handled import Handled, handled
from chargeback.journal.admission import Admission, admit
from chargeback.journal.rows import Commit, Reject
from chargeback.pipeline import Context, Outcome, process
from chargeback.ports import Entry, Journal, Ledger, OversizedError, OvertakenError

TRIES = 5
REJECT_WINDOW = 500
FORGET_EVERY = 8
_COMPUTING = threading.Lock()
"""One batch at a time: Python runs one thread anyway, and threads that take turns slow each other's storage down."""
REJECTS_TOLD = 5
"""Lines a batch: a policy that breaks every event must not fill the log. The batch's own line counts all."""


class StreamWorker:
    """Takes batches of one stream, one at a time, into one journal."""

    def __init__(
        self, journal: Journal, ledger: Ledger, context: Callable[[], Context], *, in_time: bool = True
    ) -> None:
        """``in_time``: positions and enqueue times rise together, so times can unmask a re-created hub."""
        self._in_time = in_time
        self._journal = journal
        self._ledger = ledger
        self._context = context
        self._lock = threading.Lock()
        self._known: tuple[Commit | None, JoinState] | None = None
        self._recent: deque[bool] = deque(maxlen=REJECT_WINDOW)
        self._stale = FORGET_EVERY
        """Batches since pending states were deleted; the first one deletes what an owner before us left."""

    def handle(self, events: Sequence[Event]) -> Handled:
        """Commit a batch. Raises RetryError when storage is away, StopError when an operator must act."""
        with self._lock:
            for _ in range(TRIES):
                try:
                    return self._try(events)
                except OvertakenError:
                    observe.log("batch.overtaken", journal=self._journal.name)
                    self._known = None
                    self._journal.refresh()
        raise RetryError(
            f"journal {self._journal.name}: another writer was faster {TRIES} times in a row; "
            "check that one deployment only works on this consumer group"
        )

    def _try(self, events: Sequence[Event]) -> Handled:
        watermark = self._journal.watermark()
        admission = admit(watermark, events)
        if not admission.events:
            observe.log("batch.skipped", journal=self._journal.name, events=len(events))
            return Handled(skipped=admission.skipped)
        state = self._state(watermark)
        context = self._context()
        with _COMPUTING:
            outcome = process(admission.events, state, context)
        self._keep_dead_letters(outcome, admission.events)
        entries = list(outcome.entries)
        if not self._in_time:
            entries = [msgspec.structs.replace(entry, enqueued_at=None) for entry in entries]
        commit = self._append(entries, admission, outcome, state, context, watermark)
        self._known = (commit, outcome.state)
        return self._report(admission, entries, outcome.state)

    def _state(self, watermark: Commit | None) -> JoinState:
        """Return the join state that belongs to the watermark, from memory or from the previous owner."""
        if self._known is not None and self._known[0] == watermark:
            return self._known[1]
        data = self._ledger.pending.load(self._journal.name, watermark)
        return restored(self._journal.name, data) if data else JoinState()

    def _append(
        self,
        entries: list[Entry],
        admission: Admission,
        outcome: Outcome,
        state: JoinState,
        context: Context,
        watermark: Commit | None,
    ) -> Commit | None:
        """Write the entries; where no append can hold one, a reject takes its place in the list."""
        batch_id = uuid.uuid4().hex

        def save_state(through: int) -> None:
            saved = _state_at(through, admission.events, outcome, state, context)
            if not saved.is_empty:
                self._ledger.pending.save(self._journal.name, through, batch_id, exchange.encode(saved))

        while True:
            try:
                commit = self._journal.append(
                    entries, after=watermark, batch_id=batch_id, gaps=admission.gaps, prepare=save_state
                )
                break
            except OversizedError as error:
                self._reject_oversized(entries, admission.events, error)
        if commit is not None and commit.batch_id != batch_id:
            raise OvertakenError(f"journal {self._journal.name}: a rival committed this batch")
        self._forget(entries[-1].position, state, outcome.state)
        return commit

    def _forget(self, below: int, before: JoinState, after: JoinState) -> None:
        """Delete states nobody needs any more: at once when nothing waits, else every few batches."""
        if before.is_empty and after.is_empty:
            return
        self._stale += 1
        if after.is_empty or self._stale >= FORGET_EVERY:
            self._ledger.pending.forget(self._journal.name, below)
            self._stale = 0

    def _reject_oversized(self, entries: list[Entry], events: Sequence[Event], error: OversizedError) -> None:
        """Put one reject in the place of rows that no append can hold, and keep the event's bytes."""
        place = next(number for number, entry in enumerate(entries) if entry.position == error.position)
        event = next(event for event in events if event.position == error.position)
        reject = Reject(
            row_id=f"{event}/0",
            reason=error.reason,
            message=str(error),
            dead_letter=str(event),
            enqueued_at=event.enqueued_at,
        )
        self._keep(event, event.body, error)
        entries[place] = msgspec.structs.replace(entries[place], rows=(reject,))

    def _keep_dead_letters(self, outcome: Outcome, events: Sequence[Event]) -> None:
        by_path = {str(event): event for event in events} if outcome.dead_letters else {}
        for number, letter in enumerate(outcome.dead_letters):
            error = RejectError(letter.reason, letter.message)
            self._keep(by_path[letter.path], letter.body, error, told=number < REJECTS_TOLD)

    def _keep(self, event: Event, body: bytes, error: RejectError, *, told: bool = True) -> None:
        """Keep the bytes, and beside them what ``requeue`` needs to name the event as it was."""
        about = {"holds": "dead_letter", "reason": error.reason, "message": str(error)}
        if event.enqueued_at is not None:
            about["enqueued_at"] = event.enqueued_at.isoformat()
        self._ledger.dead_letters.put(str(event), body, about)
        if told:
            observe.log("event.rejected", event=str(event), reason=error.reason, message=str(error))

    def _report(self, admission: Admission, entries: Sequence[Entry], state: JoinState) -> Handled:
        for gap in admission.gaps:
            observe.log("batch.gap", journal=self._journal.name, first=gap.first, last=gap.last)
        self._watch_rejects(entries)
        return handled(admission, entries, state)

    def _watch_rejects(self, entries: Sequence[Entry]) -> None:
        """Alarm once when most of the last events were rejected: a policy changed, not one event."""
        was_high = _is_high(self._recent)
        self._recent.extend(any(isinstance(row, Reject) for row in entry.rows) for entry in entries)
        if _is_high(self._recent) and not was_high:
            observe.log("rejects.high", journal=self._journal.name, rejected=sum(self._recent))


def restored(journal: str, data: bytes) -> JoinState:
    """Read a join state. Raises StopError for one that cannot be read: going on would bill its calls as truncated."""
    try:
        return exchange.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StopError(
            f"journal {journal}: its pending state cannot be read; it was changed from outside or written by another "
            "version of this program. Go on with that version, or delete the state below pending/: calls whose parts "
            "it holds are then billed as truncated"
        ) from None


def _state_at(
    through: int, events: Sequence[Event], outcome: Outcome, state: JoinState, context: Context
) -> JoinState:
    """Return the join state after the event at ``through``: a batch too large for one append has several.

    Computing the beginning of the batch again gives the same: ``process`` knows nothing of batches.
    """
    if through == events[-1].position:
        return outcome.state
    return process([event for event in events if event.position <= through], state, context).state


def _is_high(recent: deque[bool]) -> bool:
    return len(recent) == REJECT_WINDOW and sum(recent) * 2 > REJECT_WINDOW
