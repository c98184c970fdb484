"""The standalone host: Event Hub to journal to outbox, in one process; ``cli.consume`` runs several.

    receive ──> lane ──> commit (thread) ──> checkpoint now and then      one of each a partition
                            └──> send (thread)       in its own time: telemetry never holds up billing
    settle, status                                   every so often

The checkpoint follows the journal's commit and never leads it; it only bounds what is read again. A batch
that raises is read again: the SDK releases its partition, and whoever claims it starts at the checkpoint.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from chargeback import observe
from chargeback.afterwards import Afterwards
from chargeback.checkpoints import checkpoint_store, committed
from chargeback.errors import StopError
from chargeback.lanes import Lane, Limits, Parcel
from chargeback.outages import reached, told
from chargeback.settings import Settings
from chargeback.sources import event_hub
from chargeback.status import Status, Vitals
from chargeback.strangers import as_count
from chargeback.wiring import hub_of, is_folder
from chargeback.worker import Worker, journal_of

if TYPE_CHECKING:
    from azure.eventhub import EventData
    from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

LARGEST_EVENT = 200 * 1024
"""API Management's log-to-eventhub cuts at 200 KB; what other producers send may be five times as large."""
PREFETCH = (10, 2000)
STUCK = 5
STUCK_FOR_S = 300.0
STATUS_S = 10.0
IDLE_S = 1.0
"""A partition without events notices this late that a batch failed, and moves its checkpoint this late."""
CHECKPOINT_S = 2.0
LINGER_S = 1.0
ENOUGH = 500
"""Events; a batch of so many does not wait for more. What comes in meanwhile makes a larger one."""


class _Failing(Struct, frozen=True):
    """A batch that could not be committed here, so far."""

    times: int
    last_s: float


class Consumer:
    """Takes what ``client`` receives to ``worker``, until ``stop`` is called or an operator must act."""

    def __init__(
        self,
        client: "EventHubConsumerClient",
        hub: event_hub.Hub,
        worker: Worker,
        settings: Settings,
        *,
        starts: dict[str, int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``starts``: without a checkpoint store, the last number committed of each partition."""
        self._client = client
        self._hub = hub
        self._worker = worker
        self._settings = settings
        self._starts = starts
        self._monotonic = monotonic
        self._stop = asyncio.Event()
        self._stopping = False
        self._fault: StopError | None = None
        self._lanes: dict[str, Lane[EventData]] = {}
        self._committed: dict[str, tuple[PartitionContext, EventData]] = {}
        """By partition: the last event that was committed since the checkpoint was moved."""
        self._checkpointed: dict[str, float] = {}
        self._vitals = Vitals()
        self._lags: dict[str, int] = {}
        """Of the partitions owned."""
        self._failing: dict[str, _Failing] = {}
        self._afterwards: Afterwards | None = None
        self._events = self._redelivered = 0
        self._rate = 0.0

    def stop(self) -> None:
        """Take no further batch; ``run`` returns when those under way are committed."""
        self._stopping = True
        self._stop.set()

    def _give_up(self, fault: StopError) -> None:
        self._fault = fault
        self._stop.set()

    async def run(self, tell: Callable[[Status], None] = lambda _: None) -> None:
        """Consume until stopped. ``tell`` gets the status every so often. Raises StopError."""
        asking = asyncio.create_task(reached("event hub", self._client.get_partition_ids))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((asking, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not asking.done():
            asking.cancel()
            await self._client.close()
            return
        ids = asking.result()
        self._limits = Limits(
            events=self._settings.batch_events,
            enough=min(ENOUGH, self._settings.batch_events),
            waiting_bytes=self._settings.prefetch_bytes // (4 * max(len(ids), 1)),
            linger_s=min(LINGER_S, self._settings.settle_s / 4),
        )
        with _threads(len(ids), "bill") as bill, _threads(2, "send") as send:
            self._pool = bill
            self._afterwards = Afterwards(self._worker, send, self._give_up, settle_s=self._settings.settle_s)
            aside = [
                asyncio.create_task(self._afterwards.settle()),
                asyncio.create_task(self._afterwards.send()),
                asyncio.create_task(self._tell(tell)),
            ]
            receiving = asyncio.create_task(self._receive(len(ids)))
            stopped = asyncio.create_task(self._stop.wait())
            await asyncio.wait((receiving, stopped), return_when=asyncio.FIRST_COMPLETED)
            self._stopping = True
            for partition in list(self._lanes):
                await self._leave(partition)
            failed = receiving.exception() if receiving.done() and not receiving.cancelled() else None
            await self._client.close()
            for task in (receiving, stopped, *aside):
                task.cancel()
            await asyncio.gather(receiving, stopped, *aside, return_exceptions=True)
        tell(self.status)
        if self._fault is not None:
            raise self._fault
        if failed is not None:
            raise failed

    @property
    def status(self) -> Status:
        return Status(
            healthy=self._fault is None and not any(map(self._is_stuck, self._failing.values())),
            partitions=len(self._lags),
            events=self._events,
            events_per_s=round(self._rate, 1),
            lag=sum(self._lags.values()),
            backlog=self._afterwards.backlog if self._afterwards else 0,
            oldest_unsent_s=self._afterwards.oldest_s if self._afterwards else None,
            redelivered=self._redelivered,
            **self._vitals.fields(),
        )

    # ------------------------------------------------------------ receiving

    async def _receive(self, partitions: int) -> None:
        ahead = prefetch(self._settings.prefetch_bytes, partitions)
        await self._client.receive_batch(
            self._on_batch,
            max_batch_size=handed_over(ahead),
            max_wait_time=IDLE_S,
            prefetch=ahead,
            track_last_enqueued_event_properties=True,
            starting_position=dict[str, Any](self._starts) if self._starts is not None else "-1",
            on_error=self._on_error,
            on_partition_initialize=self._on_start,
            on_partition_close=self._on_close,
        )

    async def _on_start(self, context: "PartitionContext") -> None:
        self._lags.setdefault(context.partition_id, 0)
        await self._leave(context.partition_id)
        self._lanes[context.partition_id] = Lane(partial(self._take, context), self._limits)
        observe.log("consume.started", partition=context.partition_id)

    async def _on_close(self, context: "PartitionContext", reason: Any) -> None:
        await self._leave(context.partition_id)
        self._lags.pop(context.partition_id, None)
        self._vitals.left(context.partition_id)
        observe.log("consume.stopped", partition=context.partition_id, reason=str(reason))

    async def _leave(self, partition: str) -> None:
        """Finish the batch under way; whoever reads on begins behind it."""
        lane = self._lanes.pop(partition, None)
        if lane is not None:
            await lane.close()
            await self._checkpoint(partition, at_once=True)
            # What could not be told by now never will be: the next owner's checkpoint must not go back to it.
            self._committed.pop(partition, None)

    async def _on_batch(self, context: "PartitionContext", batch: "list[EventData]") -> None:
        lane = self._lanes.get(context.partition_id)
        if self._stopping or lane is None:
            return
        if batch:
            stream = event_hub.stream_of(self._hub, self._settings.generation, context.partition_id)
            await lane.put(Parcel(event_hub.events(batch, stream), batch[-1]))
            return
        lane.check()
        await self._checkpoint(context.partition_id, at_once=True)

    async def _take(self, context: "PartitionContext", parcels: "Sequence[Parcel[EventData]]") -> None:
        events = [event for parcel in parcels for event in parcel.events]
        last = parcels[-1].mark
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._pool, self._worker.commit, events)
        except StopError as error:
            self._give_up(error)
            raise
        except Exception:
            before = self._failing.get(context.partition_id)
            times = before.times + 1 if before else 1
            self._failing[context.partition_id] = _Failing(times, self._monotonic())
            self._redelivered += 1
            raise
        self._failing.pop(context.partition_id, None)
        self._lags[context.partition_id] = _behind(context, last)
        self._vitals.took(context.partition_id, done)
        self._events += len(events)
        if self._afterwards is not None:
            self._afterwards.offer(journal_of(events[0]))
        self._committed[context.partition_id] = (context, last)
        await self._checkpoint(context.partition_id)

    async def _checkpoint(self, partition: str, *, at_once: bool = False) -> None:
        """Move the checkpoint behind what was committed, now and then: it only bounds what is read again."""
        now = self._monotonic()
        is_due = at_once or now - self._checkpointed.get(partition, now - CHECKPOINT_S) >= CHECKPOINT_S
        if self._starts is None and is_due and partition in self._committed:
            context, last = self._committed[partition]
            self._checkpointed[partition] = now
            try:
                await context.update_checkpoint(last)
            except Exception as error:  # noqa: BLE001  the SDK's and the storage's; it costs reading again, nothing else
                observe.log("consume.interrupted", partition=partition, error=told(error))
            else:
                if self._committed.get(partition) == (context, last):
                    del self._committed[partition]

    async def _on_error(self, context: "PartitionContext | None", error: Exception) -> None:
        text = told(error)
        if context is None:
            observe.log("consume.unbalanced", error=text)
            return
        failing = self._failing.get(context.partition_id)
        fields = {"partition": context.partition_id, "error": text}
        if (
            failing is None
        ):  # no batch of ours failed: the hub cut the connection, or another process took over
            observe.log("consume.interrupted", **fields)
        elif failing.times < STUCK:
            observe.log("consume.redelivered", times=failing.times, **fields)
        else:
            observe.log("consume.stuck", times=failing.times, **fields)

    def _is_stuck(self, failing: _Failing) -> bool:
        """Failing here for long, and lately: else another process has the partition by now."""
        return failing.times >= STUCK and self._monotonic() - failing.last_s < STUCK_FOR_S

    async def _tell(self, tell: Callable[[Status], None]) -> None:
        before, at = 0, self._monotonic()
        while True:
            await asyncio.sleep(min(STATUS_S, self._settings.settle_s))
            now = self._monotonic()
            self._rate = (self._events - before) / (now - at)
            before, at = self._events, now
            tell(self.status)


def prefetch(limit: int, partitions: int) -> int:
    """Return how many events the SDK may hold for each partition; of the largest kind they take half of ``limit``.

    It counts events, not bytes, and holds up to a prefetch and a batch. One process may own all partitions.
    """
    fewest, most = PREFETCH
    return max(fewest, min(most, 2 * limit // (5 * LARGEST_EVENT * max(partitions, 1))))


def handed_over(prefetch: int) -> int:
    """Return how many events the SDK may hand over at once: a quarter, for lanes make the batches."""
    return max(PREFETCH[0], prefetch // 4)


def _behind(context: "PartitionContext", last: "EventData") -> int:
    known = context.last_enqueued_event_properties
    newest = as_count((known or {}).get("sequence_number"))
    return max(0, newest - (last.sequence_number or 0)) if newest is not None else 0


@contextlib.contextmanager
def _threads(count: int, name: str) -> Any:
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@asynccontextmanager
async def consumer(settings: Settings, worker: Worker) -> AsyncGenerator[Consumer]:
    """Put a consumer together. With a folder as ledger there are no checkpoints: the journals know."""
    hub = hub_of(settings)
    if settings.ledger and is_folder(settings.ledger):
        client = event_hub.consumer_client(hub, settings.event_hub_consumer_group)
        ids = await reached("event hub", client.get_partition_ids)
        yield Consumer(client, hub, worker, settings, starts=committed(settings, hub, ids))
        return
    store = await reached("checkpoint storage", lambda: checkpoint_store(settings))
    async with store:
        client = event_hub.consumer_client(
            hub,
            settings.event_hub_consumer_group,
            store,
            load_balancing_interval=settings.balancing_s,
            partition_ownership_expiration_interval=settings.ownership_s,
        )
        yield Consumer(client, hub, worker, settings)
