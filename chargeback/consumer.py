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
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from chargeback import observe
from chargeback.errors import RetryError, StopError
from chargeback.event import Event
from chargeback.lanes import Lane, Limits, Parcel
from chargeback.settings import Settings
from chargeback.sources import event_hub
from chargeback.status import Status, Vitals
from chargeback.strangers import as_count
from chargeback.wiring import container_of, hub_of, is_folder, open_ledger
from chargeback.worker import Worker, journal_of

if TYPE_CHECKING:
    from azure.eventhub import EventData
    from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

_Answer = TypeVar("_Answer")

LARGEST_EVENT = 200 * 1024
"""API Management's log-to-eventhub cuts at 200 KB; what other producers send may be five times as large."""
PREFETCH = (10, 2000)
STUCK = 5
STUCK_FOR_S = 300.0
STATUS_S = 10.0
IDLE_S = 1.0
"""A partition without events notices this late that a batch failed, and moves its checkpoint this late."""
CHECKPOINT_S = 2.0
LINGER_S = 0.5


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
        self._unsent: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._events = self._redelivered = self._backlog = 0
        self._oldest: float | None = None
        self._rate = 0.0

    def stop(self) -> None:
        """Take no further batch; ``run`` returns when those under way are committed."""
        self._stopping = True
        self._stop.set()

    async def run(self, told: Callable[[Status], None] = lambda _: None) -> None:
        """Consume until stopped. ``told`` gets the status every so often. Raises StopError."""
        asking = asyncio.create_task(_reached("event hub", self._client.get_partition_ids))
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
            waiting_bytes=self._settings.prefetch_bytes // (4 * max(len(ids), 1)),
            linger_s=min(LINGER_S, self._settings.settle_s / 4),
        )
        with _threads(len(ids), "bill") as bill, _threads(2, "send") as send:
            self._pool = bill
            aside = [
                asyncio.create_task(self._settle(send)),
                asyncio.create_task(self._send(send)),
                asyncio.create_task(self._tell(told)),
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
        told(self.status)
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
            backlog=self._backlog,
            oldest_unsent_s=self._oldest,
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
            with self._out_of_reach(partition):
                await self._checkpoint(partition, at_once=True)

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
            self._committed[context.partition_id] = (context, last)
            await self._checkpoint(context.partition_id)
        except StopError as error:
            self._fault = error
            self._stop.set()
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
        self._offer(events[0])

    async def _checkpoint(self, partition: str, *, at_once: bool = False) -> None:
        """Move the checkpoint behind what was committed, now and then: it only bounds what is read again."""
        now = self._monotonic()
        is_due = at_once or now - self._checkpointed.get(partition, now - CHECKPOINT_S) >= CHECKPOINT_S
        if self._starts is None and is_due and partition in self._committed:
            context, last = self._committed.pop(partition)
            self._checkpointed[partition] = now
            await context.update_checkpoint(last)

    @contextlib.contextmanager
    def _out_of_reach(self, partition: str) -> Any:
        """A checkpoint that is not moved costs reading again, nothing else."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  the SDK's and the storage's
            observe.log("consume.interrupted", partition=partition, error=_told(error))

    async def _on_error(self, context: "PartitionContext | None", error: Exception) -> None:
        told = _told(error)
        if context is None:
            observe.log("consume.unbalanced", error=told)
            return
        failing = self._failing.get(context.partition_id)
        fields = {"partition": context.partition_id, "error": told}
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

    # ------------------------------------------------------------ aside

    def _offer(self, event: Event) -> None:
        journal = journal_of(event)
        if journal not in self._queued:
            self._queued.add(journal)
            self._unsent.put_nowait(journal)

    async def _send(self, pool: ThreadPoolExecutor) -> None:
        """Send what was committed, one journal after the other; what fails waits for ``_settle``."""
        while True:
            journal = await self._unsent.get()
            self._queued.discard(journal)
            with self._faults():
                await asyncio.get_running_loop().run_in_executor(pool, self._worker.send, journal)

    async def _settle(self, pool: ThreadPoolExecutor) -> None:
        while True:
            await asyncio.sleep(self._settings.settle_s)
            with self._faults():
                settled = await asyncio.get_running_loop().run_in_executor(pool, self._worker.settle)
                self._backlog, self._oldest = settled.backlog, settled.oldest_age_s

    @contextlib.contextmanager
    def _faults(self) -> Any:
        try:
            yield
        except RetryError as error:
            observe.log("expiry.postponed", error=str(error))
        except StopError as error:
            self._fault = error
            self._stop.set()

    async def _tell(self, told: Callable[[Status], None]) -> None:
        before, at = 0, self._monotonic()
        while True:
            await asyncio.sleep(min(STATUS_S, self._settings.settle_s))
            now = self._monotonic()
            self._rate = (self._events - before) / (now - at)
            before, at = self._events, now
            told(self.status)


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


def _told(error: Exception) -> str:
    """Say what our own errors say; of others kind and place only, for their texts may hold addresses and keys."""
    if isinstance(error, RetryError | StopError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


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
        ids = await _reached("event hub", client.get_partition_ids)
        yield Consumer(client, hub, worker, settings, starts=_committed(settings, hub, ids))
        return
    store = await _reached("checkpoint storage", lambda: _checkpoint_store(settings))
    async with store:
        client = event_hub.consumer_client(
            hub,
            settings.event_hub_consumer_group,
            store,
            load_balancing_interval=settings.balancing_s,
            partition_ownership_expiration_interval=settings.ownership_s,
        )
        yield Consumer(client, hub, worker, settings)


async def _reached(what: str, attempt: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Try until it answers: a process that starts in an outage waits for its end, like all the others."""
    from azure.eventhub.exceptions import EventHubError  # noqa: PLC0415  with the SDK

    wait_s, longest_s = 1.0, 30.0
    while True:
        try:
            return await attempt()
        except (RetryError, EventHubError) as error:
            observe.log("consume.waiting", what=what, error=_told(error))
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, longest_s)


def _committed(settings: Settings, hub: event_hub.Hub, ids: Sequence[str]) -> dict[str, int]:
    """Return the last number of each partition that has a journal; the others are read from their start."""
    ledger = open_ledger(None, settings)
    found: dict[str, int] = {}
    for partition in ids:
        watermark = ledger.journal(
            f"stream/{event_hub.stream_of(hub, settings.generation, partition)}"
        ).watermark()
        if watermark is not None:
            found[partition] = watermark.last_seq
    return found


async def _checkpoint_store(settings: Settings) -> Any:
    """Return the store of checkpoints and ownership, in a container beside the ledger, made if it is not there."""
    from azure.core.exceptions import AzureError, ResourceExistsError  # noqa: PLC0415  with the SDK
    from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore  # noqa: PLC0415  with the SDK

    access = settings.storage_access
    container = container_of(access, settings.checkpoints)
    try:
        with contextlib.suppress(ResourceExistsError):
            await asyncio.to_thread(container.create_container)
    except AzureError as error:
        raise RetryError(
            f"container {settings.checkpoints!r} of {access.setting}: out of reach ({type(error).__name__}); "
            "check the account's name, network and identity"
        ) from None
    finally:
        container.close()
    if access.connection is not None:
        return BlobCheckpointStore.from_connection_string(
            access.connection.get_secret_value(), settings.checkpoints
        )
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential  # noqa: PLC0415  brings msal

    managed = (access.credential or "").lower() == "managedidentity"
    credential = (
        ManagedIdentityCredential(client_id=access.client_id)
        if managed
        else DefaultAzureCredential(managed_identity_client_id=access.client_id)
    )
    return BlobCheckpointStore(str(access.url), settings.checkpoints, credential=credential)
