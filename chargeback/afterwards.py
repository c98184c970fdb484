"""What follows a commit in its own time: telemetry of the journals that grew, and the timer's round."""

import asyncio
import contextlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

from chargeback import observe
from chargeback.errors import RetryError, StopError
from chargeback.worker import Worker


class Afterwards:
    """Sends and settles in ``pool``; ``stop`` hears of what only an operator can mend."""

    def __init__(
        self,
        worker: Worker,
        pool: ThreadPoolExecutor,
        stop: Callable[[StopError], None],
        *,
        settle_s: float,
    ) -> None:
        self._worker = worker
        self._pool = pool
        self._stop = stop
        self._settle_s = settle_s
        self._grown: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self.backlog = 0
        """Of the last round, as is ``oldest_s``."""
        self.oldest_s: float | None = None

    def offer(self, journal: str) -> None:
        """Have a journal sent that grew."""
        if journal not in self._queued:
            self._queued.add(journal)
            self._grown.put_nowait(journal)

    async def send(self) -> None:
        """Send what was committed, one journal after the other, for ever; what fails waits for ``settle``."""
        while True:
            journal = await self._grown.get()
            self._queued.discard(journal)
            with self._faults():
                await asyncio.get_running_loop().run_in_executor(self._pool, self._worker.send, journal)

    async def settle(self) -> None:
        """Have the worker's round done every so often, for ever."""
        while True:
            await asyncio.sleep(self._settle_s)
            with self._faults():
                settled = await asyncio.get_running_loop().run_in_executor(self._pool, self._worker.settle)
                self.backlog, self.oldest_s = settled.backlog, settled.oldest_age_s

    @contextlib.contextmanager
    def _faults(self) -> Generator[None]:
        try:
            yield
        except RetryError as error:
            observe.log("expiry.postponed", error=str(error))
        except StopError as error:
            self._stop(error)
