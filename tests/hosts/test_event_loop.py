"""The consumer's event loop: looks at its sockets when it waits, and once in a while when it does not."""

import asyncio
import socket
import sys

import pytest

from chargeback import event_loop
from chargeback.event_loop import Unhurried


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_it_does_not_look_twice_in_a_row_unless_it_may_wait(pair, monkeypatch):
    ours, theirs = pair
    with Unhurried() as selector:
        selector.register(ours, 1)
        assert selector.select(0) == []
        theirs.send(b"x")
        monkeypatch.setattr(event_loop, "LOOK_S", 3600)
        assert selector.select(0) == []
        assert len(selector.select(5)) == 1


def test_it_looks_again_after_a_while_even_if_there_is_always_more_to_do(pair):
    ours, theirs = pair

    async def main():
        loop, came = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(ours, came.set)

        def again():
            if not came.is_set():
                loop.call_soon(again)

        again()
        theirs.send(b"x")
        await came.wait()
        loop.remove_reader(ours)
        return True

    assert event_loop.run(asyncio.wait_for(main(), 10))


def test_threads_take_longer_turns_while_it_runs_and_no_longer():
    async def main():
        return sys.getswitchinterval()

    before = sys.getswitchinterval()

    assert event_loop.run(main()) == pytest.approx(event_loop.SWITCH_S)
    assert sys.getswitchinterval() == before
