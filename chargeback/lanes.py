"""One partition's events on their way: what comes in waits while the batch before it is committed.

    put ──> waiting ──> commit, one batch at a time, in order
     └─ waits when there are too many bytes, which holds up the receiver of this partition and no other

A large batch costs the storage no more than a small one, so a batch waits a moment to grow: the fuller, the shorter.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from chargeback.event import Event

_Mark = TypeVar("_Mark")


class Limits(Struct, frozen=True, kw_only=True):
    """``events`` of a batch, at most about; ``waiting_bytes`` of a lane; how long a batch of one event may grow."""

    events: int
    enough: int
    """A batch of so many events does not wait for more."""
    waiting_bytes: int
    linger_s: float


class Parcel(Struct, Generic[_Mark], frozen=True):
    """What the receiver handed over at once; ``mark`` is what a checkpoint after it needs."""

    events: Sequence[Event]
    mark: _Mark

    @property
    def size(self) -> int:
        return sum(len(event.body) for event in self.events)


class Lane(Generic[_Mark]):
    """Commits parcels in order with ``commit``; once that has raised, ``put`` raises the same and the lane is dead."""

    def __init__(self, commit: Callable[[Sequence[Parcel[_Mark]]], Awaitable[None]], limits: Limits) -> None:
        self._commit = commit
        self._limits = limits
        self._waiting: deque[Parcel[_Mark]] = deque()
        self._bytes = self._events = 0
        """Of what waits and what is being committed."""
        self._some, self._more, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._failed: Exception | None = None
        self._closed = False
        self._working = asyncio.create_task(self._work())

    def check(self) -> None:
        """Raise what a commit raised."""
        if self._failed is not None:
            raise self._failed

    async def put(self, parcel: Parcel[_Mark]) -> None:
        """Take a parcel, and return when there is room for the next one."""
        self.check()
        self._waiting.append(parcel)
        self._bytes += parcel.size
        self._events += len(parcel.events)
        self._some.set()
        self._more.set()
        while self._bytes > self._limits.waiting_bytes and self._failed is None and not self._closed:
            self._room.clear()
            await self._room.wait()
        self.check()

    async def close(self) -> None:
        """Finish the commit under way; what waits is received again, by whoever comes next."""
        self._closed = True
        self._waiting.clear()
        for event in (self._some, self._more, self._room):
            event.set()
        await asyncio.wait([self._working])

    @property
    def _is_full(self) -> bool:
        return self._events >= self._limits.enough or self._bytes > self._limits.waiting_bytes // 2

    async def _work(self) -> None:
        while not self._closed:
            await self._some.wait()
            await self._grow()
            batch = self._next()
            if not batch:
                continue
            try:
                await self._commit(batch)
            except Exception as error:  # noqa: BLE001  whatever it is, the receiver must hear of it
                self._failed = error
                return
            finally:
                self._bytes -= sum(parcel.size for parcel in batch)
                self._events -= sum(len(parcel.events) for parcel in batch)
                self._room.set()

    async def _grow(self) -> None:
        """Return when the batch is large enough for the time it has waited."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while not self._is_full and not self._closed:
            patience_s = self._limits.linger_s * (1 - self._events / self._limits.enough)
            self._more.clear()
            try:
                async with asyncio.timeout_at(began + patience_s):
                    await self._more.wait()
            except TimeoutError:
                return

    def _next(self) -> list[Parcel[_Mark]]:
        """Take whole parcels from what waits, at least one."""
        batch: list[Parcel[_Mark]] = []
        count = size = 0
        while self._waiting and (
            not batch or (count < self._limits.events and size < self._limits.waiting_bytes // 2)
        ):
            parcel = self._waiting.popleft()
            batch.append(parcel)
            count += len(parcel.events)
            size += parcel.size
        if not self._waiting:
            self._some.clear()
        return batch
