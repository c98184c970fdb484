"""What a standalone host does while hub or storage is away: it waits, and says so without quoting anybody."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from chargeback import observe
from chargeback.errors import RetryError, StopError

_Answer = TypeVar("_Answer")
_WAITS_S = (1.0, 30.0)
"""At first, and at most."""


async def reached(what: str, attempt: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Try until it answers: a process that starts in an outage waits for its end, like all the others."""
    from azure.eventhub.exceptions import EventHubError  # noqa: PLC0415  with the SDK

    wait_s, longest_s = _WAITS_S
    while True:
        try:
            return await attempt()
        except (RetryError, EventHubError) as error:
            observe.log("consume.waiting", what=what, error=told(error))
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, longest_s)


def told(error: Exception) -> str:
    """Say what our own errors say; of others kind and place only, for their texts may hold addresses and keys."""
    if isinstance(error, RetryError | StopError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
