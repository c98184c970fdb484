"""The consumer's event loop: uvloop where it is installed, asyncio's own elsewhere, and longer turns for threads."""

import asyncio
import subprocess
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


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not made for Windows")
def test_a_process_without_stdin_ends_in_peace():
    """libuv ends the process if one of its own files has the number of a standard one."""
    code = "import asyncio; from chargeback import event_loop; event_loop.run(asyncio.sleep(0.01))"
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, code], capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
