"""Lanes: in order, bounded by bytes, and what a commit raises reaches the receiver."""

import asyncio

import pytest

from chargeback.lanes import Lane, Limits, Parcel
from tests.support.events import events_of

LIMITS = Limits(events=10, enough=10, waiting_bytes=1000, linger_s=0.01)


def parcel(first, count=2, size=10):
    return Parcel(events_of([b"x" * size] * count, first=first), first + count - 1)


class Gate:
    """A commit that waits to be let through, and remembers."""

    def __init__(self):
        self.open = asyncio.Event()
        self.began = asyncio.Event()
        self.done = asyncio.Queue()
        self.batches = []

    async def __call__(self, parcels):
        self.began.set()
        await self.open.wait()
        self.batches.append([event.position for each in parcels for event in each.events])
        self.done.put_nowait(len(self.batches))

    async def times(self, count):
        while await self.done.get() < count:
            pass


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 10))


def test_what_comes_in_while_a_batch_is_committed_is_the_next_batch_in_order():
    async def scenario():
        gate = Gate()
        lane = Lane(gate, LIMITS)
        await lane.put(parcel(0))
        await gate.began.wait()
        for first in (2, 4, 6):
            await lane.put(parcel(first))
        gate.open.set()
        await gate.times(2)
        await lane.close()
        return gate.batches

    assert run(scenario) == [[0, 1], [2, 3, 4, 5, 6, 7]]


def test_a_full_batch_does_not_wait_to_grow():
    async def scenario():
        gate = Gate()
        gate.open.set()
        lane = Lane(gate, Limits(events=4, enough=4, waiting_bytes=10_000, linger_s=3600))
        for first in (0, 2, 4, 6):
            await lane.put(parcel(first))
        await gate.times(2)
        await lane.close()
        return gate.batches

    assert [len(batch) for batch in run(scenario)] == [4, 4]


def test_the_fuller_a_batch_the_shorter_it_waits():
    async def scenario():
        gate = Gate()
        gate.open.set()
        lane = Lane(gate, Limits(events=1000, enough=1000, waiting_bytes=10_000, linger_s=100))
        await lane.put(parcel(0, count=999, size=1))
        await gate.times(1)
        await lane.close()
        return gate.batches

    assert [len(batch) for batch in run(scenario)] == [999], "a thousandth of 100 s, not 100 s"


def test_what_waits_behind_a_commit_makes_a_larger_batch_than_one_that_starts_from_nothing():
    async def scenario():
        gate = Gate()
        lane = Lane(gate, Limits(events=6, enough=2, waiting_bytes=10_000, linger_s=3600))
        await lane.put(parcel(0))
        await gate.began.wait()
        for first in (2, 4, 6, 8):
            await lane.put(parcel(first))
        gate.open.set()
        await gate.times(3)
        await lane.close()
        return gate.batches

    assert [len(batch) for batch in run(scenario)] == [2, 6, 2]


def test_too_many_bytes_hold_up_the_receiver_until_some_are_committed():
    async def scenario():
        gate = Gate()
        lane = Lane(gate, LIMITS)
        await lane.put(parcel(0, size=200))
        await gate.began.wait()
        await lane.put(parcel(2, size=200))
        over = asyncio.create_task(lane.put(parcel(4, size=200)))
        held = await asyncio.wait([over], timeout=0.05)
        gate.open.set()
        await over
        await lane.close()
        return held[0]

    assert run(scenario) == set()


def test_what_a_commit_raised_is_raised_to_the_receiver_and_nothing_more_is_committed():
    async def scenario():
        tried = asyncio.Queue()

        async def commit(parcels):
            tried.put_nowait(parcels)
            raise OSError("storage is away")

        lane = Lane(commit, LIMITS)
        await lane.put(parcel(0))
        await tried.get()
        with pytest.raises(OSError, match="storage is away"):
            lane.check()
        with pytest.raises(OSError, match="storage is away"):
            await lane.put(parcel(2))
        await lane.close()
        return tried.empty()

    assert run(scenario)


def test_a_blocked_receiver_hears_of_the_failure():
    async def scenario():
        let = asyncio.Event()

        async def commit(_):
            await let.wait()
            raise OSError("storage is away")

        lane = Lane(commit, LIMITS)
        blocked = asyncio.create_task(lane.put(parcel(0, count=3, size=500)))
        await asyncio.wait([blocked], timeout=0.05)
        let.set()
        with pytest.raises(OSError, match="storage is away"):
            await blocked
        await lane.close()

    run(scenario)


def test_closing_finishes_the_batch_under_way_and_drops_what_waits():
    async def scenario():
        gate = Gate()
        lane = Lane(gate, LIMITS)
        await lane.put(parcel(0))
        await gate.began.wait()
        await lane.put(parcel(2))
        closing = asyncio.create_task(lane.close())
        await asyncio.sleep(0)
        gate.open.set()
        await closing
        return gate.batches

    assert run(scenario) == [[0, 1]]
