"""Consumer processes that die at named points: the product's own host, its storage and sender wrapped from outside.

Started once by ``chaos.Zygote``, it imports everything and then forks a consumer for each line on stdin, for
sixty starts of a Python with all its imports would be most of the run. Nothing of this is in the product: the
seam is ``make_worker(settings, ledger=..., sender=...)``.

    CHAOS_POINT, CHAOS_VISIT   the process kills itself (SIGKILL) at the n-th visit of a point
    CHAOS_HITS                 file that remembers where processes died
    CHAOS_BREAK                a guard to switch off, to see the checks fail
"""

import asyncio
import importlib
import io
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from typing import Any

import msgspec

from chargeback import event_loop, stream_worker
from chargeback.consumer import consumer
from chargeback.errors import ChargebackError
from chargeback.handled import Handled
from chargeback.journal import blob, journal
from chargeback.journal.admission import Admission
from chargeback.journal.ledger import StorageLedger
from chargeback.ports import InDoubtError
from chargeback.settings import Settings
from chargeback.telemetry import Delivery
from chargeback.wiring import container_of, make_worker, now, open_sender, writer

SEGMENT_BYTES = 400_000
"""Small, so that journals roll over all the time."""
POINTS = (
    "mid-append",
    "after-append",
    "after-send",
    "after-part-store",
    "in-roll-over",
    "before-checkpoint",
)
BREAKS = ("dedupe", "watermark", "commit", "confirm")


class Fuse:
    """Kills the process at the n-th visit of its point."""

    def __init__(self) -> None:
        self._point = os.environ.get("CHAOS_POINT", "")
        self._left = int(os.environ.get("CHAOS_VISIT", "1"))
        self._lock = threading.Lock()

    def burns(self, point: str) -> bool:
        with self._lock:
            if point != self._point:
                return False
            self._left -= 1
            return self._left == 0

    def rearm(self) -> None:
        """The process lived on after all, because the network was away: it dies at the next visit."""
        with self._lock:
            self._left = 1

    def visit(self, point: str) -> None:
        if self.burns(point):
            self.die(point)

    def die(self, point: str) -> None:
        with open(os.environ["CHAOS_HITS"], "a", encoding="utf-8") as hits:  # noqa: PTH123  appended in one write
            hits.write(f"{point}\n")
        os.kill(os.getpid(), signal.SIGKILL)


class HalfABody(io.RawIOBase):
    """A request body that ends, and the process with it, in its middle."""

    def __init__(self, data: bytes, fuse: Fuse) -> None:
        self._halves = [data[: len(data) // 2]]
        self._fuse = fuse

    def read(self, _: int = -1) -> bytes:
        if self._halves:
            return self._halves.pop()
        time.sleep(0.02)  # let the first half leave
        self._fuse.die("mid-append")
        return b""


class FatalSegments:
    """Segments of a journal with three places to die at."""

    def __init__(self, inner: blob.BlobSegments, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def append(self, name: str, data: bytes, at: int) -> Any:
        if data.lstrip(b"\n").startswith(b'{"row":"end"'):
            extent = self._append(name, data, at)
            self._fuse.visit("in-roll-over")
            return extent
        if self._fuse.burns("mid-append"):
            body = HalfABody(data, self._fuse)
            try:
                self._inner._blob(name).append_block(
                    body, length=len(data), appendpos_condition=at, retry_total=0
                )
            finally:
                self._fuse.rearm()
        extent = self._append(name, data, at)
        self._fuse.visit("after-append")
        return extent

    def _append(self, name: str, data: bytes, at: int) -> Any:
        return self._inner.append(name, data, at)


class BlindSegments(FatalSegments):
    """BREAK=watermark: appends wherever the segment ends by now, and again when no answer came."""

    def _append(self, name: str, data: bytes, at: int) -> Any:
        while True:
            try:
                extent = self._inner.extent(name)
                return self._inner.append(name, data, at if extent is None else extent.size)
            except InDoubtError:
                continue


class Around:
    """Another object, with one method replaced."""

    def __init__(self, inner: Any, **methods: Any) -> None:
        self._inner = inner
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._inner, name)


def wrapped_ledger(settings: Settings, fuse: Fuse, broken: str) -> StorageLedger:
    box = blob.Container(container_of(settings.storage_access, str(settings.ledger)))
    plain = blob.ledger(box._client, writer=writer(), now=now)
    segments = BlindSegments if broken == "watermark" else FatalSegments
    ledger = StorageLedger(
        blob.BlobObjects(box),
        blob.BlobLeases(box),
        lambda folder: segments(blob.BlobSegments(box, folder), fuse),
        plain._ends,
        writer=writer(),
        now=now,
        segment_bytes=SEGMENT_BYTES,
    )
    save = ledger.pending.save

    def save_and_die(*args: Any) -> None:
        save(*args)
        fuse.visit("after-part-store")

    ledger.pending = Around(ledger.pending, save=save_and_die)
    return ledger


def wrapped_sender(settings: Settings, fuse: Fuse, broken: str) -> Any:
    sender = open_sender(settings)

    def send(events: list[Any]) -> Delivery:
        delivery = sender.send(events)
        if len(delivery.unconfirmed) < len(events):
            fuse.visit("after-send")
        return Delivery(sent=len(events)) if broken == "confirm" else delivery

    return Around(sender, send=send)


def wrapped_worker(worker: Any, fuse: Fuse, broken: str) -> Any:
    def commit(events: Any) -> Any:
        if broken == "commit":  # the checkpoint does not wait
            threading.Timer(0.5, lambda: worker.commit(events)).start()
            return Handled()
        handled = worker.commit(events)
        fuse.visit("before-checkpoint")
        return handled

    return Around(worker, commit=commit)


def forget_what_was_billed() -> None:
    """BREAK=dedupe: a redelivered event is a new one."""

    def admit(_: Any, events: Any) -> Admission:
        return Admission(tuple(sorted(events, key=lambda event: event.position)), 0, ())

    pack = journal.pack

    def packed(entries: Any, gaps: Any, previous: Any, most: int) -> Any:
        return pack(entries, gaps, msgspec.structs.replace(previous, last_seq=-1), most)

    def write(self: Any, group: Any, _: Any, prepare: Any) -> None:
        if prepare:
            prepare(group.commit.last_seq)
        for _ in range(8):
            if self._attempt(group) is None:
                return
        raise InDoubtError("no append came through")

    stream_worker.admit = admit
    journal.pack = packed
    journal.SegmentedJournal._write = write


async def consume() -> None:
    settings, fuse, broken = Settings.load(), Fuse(), os.environ.get("CHAOS_BREAK", "")
    if broken == "dedupe":
        forget_what_was_billed()
    worker = make_worker(
        settings,
        ledger=wrapped_ledger(settings, fuse, broken),
        sender=wrapped_sender(settings, fuse, broken),
    )
    async with consumer(settings, wrapped_worker(worker, fuse, broken)) as running:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.stop)
        await running.run()


def child(told: dict[str, Any]) -> None:
    os.environ.update(told["env"])
    log = os.open(told["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(log, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # not the line of orders
    code = 0
    try:
        event_loop.run(consume())
    except ChargebackError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201  its log
        code = 3
    except BaseException:  # noqa: BLE001  whatever it is, the log must say so
        traceback.print_exc()
        code = 4
    finally:
        sys.stderr.flush()
        os._exit(code)


def warm_up() -> None:
    """Import what a consumer imports late, once for all of them."""
    for name in (
        "azure.eventhub.aio",
        "azure.eventhub.extensions.checkpointstoreblobaio",
        "chargeback.rates.load",
        "chargeback.sinks.application_insights",
        "chargeback.sinks.envelopes",
    ):
        importlib.import_module(name)


def main() -> None:
    """A line in, JSON with ``env`` and ``log``: a consumer is forked, its pid comes out; so do its end and its code."""
    warm_up()
    out = os.fdopen(os.dup(1), "w")

    def tell(**words: Any) -> None:
        out.write(json.dumps(words) + "\n")
        out.flush()

    # No thread may run while we fork: children are waited for between two lines, without blocking.
    pending: list[str] = []
    descriptor = sys.stdin.fileno()
    alive: set[int] = set()
    rest = b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], 0.02)
        if ready:
            data = os.read(descriptor, 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            pending += [line.decode() for line in lines]
        for line in pending:
            pid = os.fork()
            if pid == 0:
                child(json.loads(line))
            alive.add(pid)
            tell(started=pid)
        pending.clear()
        for pid in list(alive):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                alive.discard(pid)
                tell(ended=pid, code=os.waitstatus_to_exitcode(status))
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
