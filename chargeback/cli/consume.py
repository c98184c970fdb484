"""``chargeback consume``: the worker without Azure Functions; one process, or several under a supervisor."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from chargeback import event_loop, observe
from chargeback.consumer import consumer
from chargeback.errors import UsageError
from chargeback.health import serving
from chargeback.settings import Settings
from chargeback.status import Status, together
from chargeback.wiring import make_worker, settings

GRACE_S = 60
"""What a child may take to finish its batches after SIGTERM."""
_AGAIN_S = (1.0, 30.0)
"""Before a child that died is started again: at first, and at most."""
_OPERATOR = 2


def consume(
    processes: Annotated[
        int,
        typer.Option(
            min=1, max=32, metavar="COUNT", help="Worker processes; more than partitions are of no use."
        ),
    ] = 1,
    as_child: Annotated[bool, typer.Option("--as-child", hidden=True)] = False,
) -> None:
    """Bill events as they come in: Event Hub to ledger to Application Insights, until SIGTERM.

    SIGTERM finishes the batches under way and then ends. Settings are read from the environment.

    Examples:
      chargeback consume
      chargeback consume --processes 2
    """
    configured = settings()
    _log_to_stderr(configured)
    if as_child or processes == 1:
        event_loop.run(_one(configured, as_child=as_child))
    else:
        code = asyncio.run(_several(configured, processes))
        if code:
            raise typer.Exit(code)


def _log_to_stderr(configured: Settings) -> None:
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("chargeback").setLevel(configured.log_level)
    # Their warnings repeat, with stack traces, what ``on_error`` tells in one line.
    logging.getLogger("azure").setLevel(logging.CRITICAL)


async def _one(configured: Settings, *, as_child: bool) -> None:
    def told(status: Status) -> None:
        if as_child:
            _report(status)
        else:
            observe.log("consume.status", **msgspec.structs.asdict(status))

    async with consumer(configured, make_worker(configured)) as running:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.stop)
        where = None if as_child else configured.health
        async with serving(where, lambda: msgspec.structs.asdict(running.status)):
            await running.run(told)


def _report(status: Status) -> None:
    """Write a line to the supervisor; when it is gone, go too."""
    try:
        sys.stdout.buffer.write(msgspec.json.encode(status) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        signal.raise_signal(signal.SIGTERM)


class _Fleet:
    """The children, and what they said last."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.stopping = False
        self.statuses: dict[int, Status] = {}
        self.children: dict[int, asyncio.subprocess.Process] = {}
        self.code = 0

    def stop(self) -> None:
        self.stopping = True
        for child in self.children.values():
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)

    @property
    def status(self) -> Status:
        """All children as one."""
        told = list(self.statuses.values())
        return together(told, healthy=len(told) == self.count and all(each.healthy for each in told))


async def _several(configured: Settings, count: int) -> int:
    """Keep ``count`` children alive until a signal; 2 when one of them needs an operator."""
    fleet = _Fleet(count)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, fleet.stop)
    async with serving(configured.health, lambda: msgspec.structs.asdict(fleet.status)):
        telling = asyncio.create_task(_tell(fleet, min(10.0, configured.settle_s)))
        await asyncio.gather(*(_keep(fleet, number) for number in range(count)))
        telling.cancel()
    return fleet.code


async def _tell(fleet: _Fleet, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        observe.log("consume.status", **msgspec.structs.asdict(fleet.status))


async def _keep(fleet: _Fleet, number: int) -> None:
    waits = _waits()
    command = (sys.executable, "-m", "chargeback.cli", "consume", "--as-child")
    while not fleet.stopping:
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        fleet.children[number] = child
        if child.stdout is None:
            raise UsageError("consume: a worker process has no pipe")
        async for line in child.stdout:
            fleet.statuses[number] = msgspec.json.decode(line, type=Status)
            waits = _waits()
        code = await asyncio.wait_for(child.wait(), GRACE_S)
        fleet.statuses.pop(number, None)
        if code == _OPERATOR:
            fleet.code = _OPERATOR
            fleet.stop()
        elif not fleet.stopping:
            await asyncio.sleep(next(waits))


def _waits() -> Iterator[float]:
    first, longest = _AGAIN_S
    while True:
        yield first
        first = min(2 * first, longest)
