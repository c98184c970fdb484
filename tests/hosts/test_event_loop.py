"""The consumer's event loop: uvloop where it is installed, asyncio's own elsewhere, and longer turns for threads."""

import asyncio
import sys

import pytest

from chargeback import event_loop


async def _loop_and_interval():
    return type(asyncio.get_running_loop()).__module__, sys.getswitchinterval()


def test_threads_take_longer_turns_while_it_runs_and_no_longer():
    before = sys.getswitchinterval()

    _, interval = event_loop.run(_loop_and_interval())

    assert interval == pytest.approx(event_loop.SWITCH_S)
    assert sys.getswitchinterval() == before


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not made for Windows")
def test_it_is_uvloop():
    assert event_loop.run(_loop_and_interval())[0].startswith("uvloop")


def test_without_uvloop_it_is_asyncios_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert event_loop.run(_loop_and_interval())[0].startswith("asyncio")
