"""The event loop of a standalone host: frames come in while threads bill, and neither waits for the other's every step.

uvloop where it is installed (the extra ``consumer``, not on Windows), for the AMQP library takes several steps of
the loop a frame; asyncio's own elsewhere.
"""

import asyncio
import importlib
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

SWITCH_S = 0.05
"""Python's own is 0.005. A thread that waits for storage gives up its turn at once, whatever this says."""
_Answer = TypeVar("_Answer")


def run(main: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Run ``main`` as ``asyncio.run`` does; the process is this loop's alone, and its threads take longer turns."""
    _open_standard_files()
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        with asyncio.Runner(loop_factory=_factory()) as runner:
            return runner.run(main)
    finally:
        sys.setswitchinterval(before)


def _open_standard_files() -> None:
    """Put the null device where a daemon was started without stdin: libuv aborts if a file of its own is number 0."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def _factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        return importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None
