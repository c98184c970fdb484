"""Run a function app through Microsoft's real worker library: indexing, decoding, threads, results.

    with functions_worker(app_dir, {"CHARGEBACK_LEDGER": ledger}) as worker:
        assert worker.functions["bill_usage"].trigger["cardinality"] == "MANY"
        result = worker.invoke("bill_usage", event_hub_batch([b"{}"], first_sequence_number=7))
        assert result.ok, result.error

One child process per app, because the library keeps global registries. The child sees only the environment given
here. ``send`` and ``result`` are the halves of ``invoke``, for a test that kills the child in between.

The Functions host is not here: no checkpoints, no retries, no ``%SETTING%`` resolution, no timeouts.
"""

import base64
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from scripts import install_functions_worker as library

T = TypeVar("T")

_CHILD = Path(__file__).with_name("functions_worker_child.py")
_ENQUEUED = "2026-11-20T21:00:00.123"  # the extension writes UTC without a Z


class AppRejectedError(Exception):
    """The worker refused to index the app: in Azure it would have no functions at all."""


class WorkerGoneError(Exception):
    """The child ended, or kept silent too long, before it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    name: str
    bindings: list[dict[str, Any]]
    retry: dict[str, Any]
    """The host's view of ``@app.retry``; empty without one."""

    @property
    def trigger(self) -> dict[str, Any]:
        return next(binding for binding in self.bindings if binding["type"].endswith("Trigger"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    level: str
    logger: str
    message: str
    """With the traceback, if there was one."""
    fields: dict[str, Any]
    """What the call gave as ``extra``."""
    invocation_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    invocation_id: str
    ok: bool
    error: str
    stack: str
    logs: list[LogLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What the host hands over, in protobuf's JSON form; tests may edit ``metadata`` before they send it."""

    data: dict[str, Any]
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)


def event_hub_batch(
    bodies: Sequence[bytes],
    *,
    first_sequence_number: int = 0,
    partition: str = "0",
    namespace: str = "test-ns.servicebus.windows.net",
    event_hub: str = "usage",
    consumer_group: str = "$Default",
    keys: Sequence[str | None] | None = None,
    properties: Sequence[Mapping[str, Any]] | None = None,
    enqueued: str | Sequence[str] = _ENQUEUED,
    offsets: Sequence[int | str] | None = None,
    data_type: str = "binary",
) -> Trigger:
    """Build one partition's batch as the Event Hubs extension 6.x sends it to a cardinality-many trigger."""
    count = len(bodies)
    keys = keys or [None] * count
    offsets = offsets or [4096 * (first_sequence_number + i) for i in range(count)]
    times = [enqueued] * count if isinstance(enqueued, str) else list(enqueued)
    numbers = list(range(first_sequence_number, first_sequence_number + count))
    system = [
        {
            "x-opt-sequence-number": number,
            "SequenceNumber": number,
            "Offset": offset,
            "PartitionKey": key,
            "EnqueuedTimeUtc": time,
        }
        for number, offset, key, time in zip(numbers, offsets, keys, times, strict=True)
    ]
    context = {
        "FullyQualifiedNamespace": namespace,
        "EventHubName": event_hub,
        "ConsumerGroup": consumer_group,
        "PartitionId": partition,
    }
    return Trigger(
        data=_event_bodies(bodies, data_type),
        metadata={
            "PartitionContext": _json(context),
            "SystemPropertiesArray": _json(system),
            "PropertiesArray": _json([dict(each) for each in properties or [{}] * count]),
            "SequenceNumberArray": {"collection_sint64": {"sint64": [str(number) for number in numbers]}},
            "OffsetArray": {"collection_string": {"string": [str(offset) for offset in offsets]}},
            "EnqueuedTimeUtcArray": _json(times),
            # The host drops empty strings from string[], so this array is not aligned with the bodies.
            "PartitionKeyArray": {"collection_string": {"string": [key for key in keys if key]}},
        },
    )


def timer_tick(
    *,
    past_due: bool = False,
    monitored: bool = True,
    last: str = "2026-11-20T20:55:00+00:00",
    next_due: str = "2026-11-20T21:05:00+00:00",
) -> Trigger:
    """Build one tick of a timer trigger as the host sends it; with ``use_monitor=False`` it knows no status."""
    status = {"Last": last, "LastUpdated": last, "Next": next_due} if monitored else None
    return Trigger(
        data=_json({"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due})
    )


def _event_bodies(bodies: Sequence[bytes], data_type: str) -> dict[str, Any]:
    if data_type == "binary":
        return {"collection_bytes": {"bytes": [base64.b64encode(body).decode() for body in bodies]}}
    # As PartitionKeyArray: a string[] loses its empty entries on the way.
    return {"collection_string": {"string": [body.decode("utf-8", "replace") for body in bodies if body]}}


def _json(value: Any) -> dict[str, Any]:
    return {"json": json.dumps(value)}


class FunctionsWorker:
    """One running child; ``functions_worker`` makes and ends it."""

    def __init__(self, app_dir: Path, env: Mapping[str, str], timeout: float) -> None:
        self.functions: dict[str, Function] = {}
        self.logs: list[LogLine] = []
        """Everything logged so far, start-up included, in the order of arrival."""
        self._timeout = timeout
        self._indexed: dict[str, Any] = {}
        self._results: dict[str, dict[str, Any]] = {}
        self._ended = False
        self._end_is_known = False
        self._news = threading.Condition()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        # -P keeps the child's own folder off sys.path: the app must not find test support there.
        command = [sys.executable, "-P", str(_CHILD), str(app_dir), str(library.RUNTIME), str(library.PROTOS)]
        inherited = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=app_dir,
            env={**inherited, **env},
            encoding="utf-8",
        )
        # A thread reads all the time, so neither side ever blocks on a full pipe.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def index(self) -> None:
        """Wait until the worker has indexed the app."""
        answer = self._wait_for(lambda: self._indexed, "indexing the app")
        if answer["error"]:
            raise AppRejectedError(answer["error"])
        self.functions = {row["name"]: Function(**row) for row in answer["functions"]}

    def invoke(self, function: str, trigger: Trigger, *, retry: tuple[int, int] | None = None) -> Result:
        """Run one invocation to its end; ``retry`` is (count, maximum), left out on a first try."""
        return self.result(self.send(function, trigger, retry=retry))

    def invoke_many(self, invocations: Sequence[tuple[str, Trigger]]) -> list[Result]:
        """Start all, then wait for all: they run at the same time, as partitions do in one worker process."""
        sent = [self.send(function, trigger) for function, trigger in invocations]
        return [self.result(invocation_id) for invocation_id in sent]

    def send(self, function: str, trigger: Trigger, *, retry: tuple[int, int] | None = None) -> str:
        """Start an invocation and return its id."""
        invocation_id = str(uuid.uuid4())
        command: dict[str, Any] = {
            "function": function,
            "invocation_id": invocation_id,
            "input_data": [{"name": self.functions[function].trigger["name"], "data": trigger.data}],
            "trigger_metadata": trigger.metadata,
        }
        if retry:
            command["retry_context"] = dict(zip(("retry_count", "max_retry_count"), retry, strict=True))
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._gone("taking an invocation") from None
        return invocation_id

    def result(self, invocation_id: str) -> Result:
        """Wait for an invocation's end."""
        answer = self._wait_for(lambda: self._results.get(invocation_id), "running an invocation")
        return Result(**answer, logs=[line for line in self.logs if line.invocation_id == invocation_id])

    def wait_for_log(self, message: str) -> LogLine:
        """Wait until a line with this message has been logged, now or before."""
        return self._wait_for(
            lambda: next((line for line in self.logs if line.message == message), None),
            f"logging {message!r}",
        )

    def printed(self) -> str:
        """What the app printed, and what Python wrote to stderr."""
        # pread leaves alone the file offset, which the child shares.
        return os.pread(self._stderr.fileno(), os.fstat(self._stderr.fileno()).st_size, 0).decode(
            "utf-8", "replace"
        )

    def kill(self) -> None:
        """SIGKILL for this child only; nothing is finished, flushed or closed."""
        self._end_is_known = True
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End of input: the child finishes what runs and leaves.

        Raises WorkerGoneError when it ended badly and the test was not told yet.
        """
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            if self.process.wait(self._timeout) and not self._end_is_known:
                raise self._gone("finishing")
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self._reader.join()
            self.process.stdout.close()
            self._stderr.close()

    def _read(self) -> None:
        for line in self.process.stdout:
            message = json.loads(line)
            kind = message.pop("kind")
            with self._news:
                if kind == "log":
                    self.logs.append(LogLine(**message))
                elif kind == "result":
                    self._results[message["invocation_id"]] = message
                else:
                    self._indexed = message
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _wait_for(self, find: Callable[[], T | None], doing: str) -> T:
        with self._news:
            self._news.wait_for(lambda: find() or self._ended, self._timeout)
            if found := find():
                return found
        raise self._gone(doing)

    def _gone(self, doing: str) -> WorkerGoneError:
        self._end_is_known = True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        code = self.process.poll()
        end = f"kept silent for {self._timeout} s" if code is None else f"ended with {code}"
        return WorkerGoneError(
            f"the worker process {end} while {doing}; it printed:\n{self.printed()[-2000:]}"
        )


@contextlib.contextmanager
def functions_worker(
    app_dir: Path | str, env: Mapping[str, str] | None = None, *, timeout: float = 60
) -> Iterator[FunctionsWorker]:
    """Start the app in a child and end it cleanly.

    Raises AppRejectedError when the indexer refuses the app. Without the library the test is skipped, or fails
    where it must be there: in CI and under ``make test``.
    """
    require_library()
    worker = FunctionsWorker(Path(app_dir).resolve(), env or {}, timeout)
    try:
        worker.index()
        yield worker
    finally:
        worker.close()


def require_library() -> None:
    """Skip, or fail where a skip would hide every rejection, when the worker library is absent."""
    problem = library.missing()
    if problem is None and importlib.util.find_spec("google.protobuf") is None:
        problem = "the Functions worker library needs protobuf: install the extra `dev`"
    if problem is None:
        return
    if os.environ.get("CI") or os.environ.get("CHARGEBACK_REQUIRE_WORKER") == "1":
        pytest.fail(problem, pytrace=False)
    pytest.skip(problem)
