"""The event loop of a standalone host: frames come in while threads bill, and neither waits for the other's every step.

asyncio looks at its sockets after every step, also when more steps are ready; the AMQP library takes several steps a
frame. Each look hands Python to a thread that bills a batch, and gets it back a switch interval later. So while
there is something to do, this loop looks once in a while only, and threads take longer turns.
"""

import asyncio
import selectors
import sys
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

LOOK_S = 0.002
SWITCH_S = 0.05
"""Python's own is 0.005. A thread that waits for storage gives up its turn at once, whatever this says."""
_Answer = TypeVar("_Answer")


class Unhurried(selectors.DefaultSelector):
    """A selector that does not look again within ``LOOK_S`` when it is asked not to wait."""

    _looked_at = float("-inf")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        is_asked_to_wait = timeout is None or timeout > 0
        if not is_asked_to_wait and time.monotonic() - self._looked_at < LOOK_S:
            return []
        found = super().select(timeout)
        self._looked_at = time.monotonic()
        return found


def run(main: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Run ``main`` as ``asyncio.run`` does; the process is this loop's alone."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Unhurried())) as runner:
            return runner.run(main)
    finally:
        sys.setswitchinterval(before)
