"""Start-up: what importing ``function_app`` takes, and the first estimate after it.

Each in a fresh interpreter, median of the rounds; the interpreter's own start is not counted. CPU seconds, for other
work on the machine must not count; what the clock said stands beside them. Connecting anywhere fails the figure.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from measure import Check, Figure, Options

from tests.support.calls import Answer, Message
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

ROOT = Path(__file__).resolve().parent.parent.parent

IMPORT = """
import json, socket, sys, time
def refuse(*_, **__): raise SystemExit("the import opened a socket")
socket.socket.connect = refuse
clock, start = time.perf_counter(), time.process_time()
import function_app
took, waited = time.process_time() - start, time.perf_counter() - clock
loaded = [name for name in ("tiktoken", "azure.storage.blob", "azure.eventhub", "duckdb") if name in sys.modules]
print(json.dumps({"cpu_s": took, "seconds": waited, "loaded": loaded}))
"""
ESTIMATE = """
import json, sys, time
body = sys.stdin.buffer.read()
import function_app
clock, start = time.perf_counter(), time.process_time()
from datetime import UTC, datetime
from chargeback.event import Event, Stream
from chargeback.exchange import JoinState
from chargeback.pipeline import Context, process
event = Event(stream=Stream("ns", "hub", 1, "0"), sequence_number=0, position=0, body=body, enqueued_at=datetime.now(UTC))
row = process([event], JoinState(), Context()).entries[0].rows[0]
took, waited = time.process_time() - start, time.perf_counter() - clock
assert row.usage_source == "estimated", row.usage_source
print(json.dumps({"cpu_s": took, "seconds": waited, "loaded": []}))
"""


def figures(options: Options) -> Iterator[Figure]:
    for name, what, code, limit in (
        ("import", "import of function_app", IMPORT, 0.6),
        ("first-estimate", "the first estimate after that, with its imports and vocabulary", ESTIMATE, 0.5),
    ):
        if not options.wants(name):
            continue
        runs = [_run(code) for _ in range(options.rounds)]
        seconds = statistics.median(each["cpu_s"] for each in runs)
        loaded = ", ".join(runs[0]["loaded"]) or "no SDK of storage or hub, no tokenizer"
        waited = f"{statistics.median(each['seconds'] for each in runs):.2f} s by the clock of this machine"
        yield Figure(
            name=name,
            what=what,
            unit="CPU s",
            ours=seconds,
            checks=(Check("seconds", seconds, limit),),
            note=f"{waited}; it loads {loaded}" if name == "import" else waited,
        )


def _run(code: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=_a_stream_without_usage(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"start-up: {done.stderr.decode()[-2000:]}")
    return json.loads(done.stdout)


@cache
def _a_stream_without_usage() -> bytes:
    call = a_call(
        CALLERS["shop"],
        ROUTES["chat"],
        datetime(2026, 11, 18, tzinfo=UTC),
        1,
        stream=True,
        messages=(Message(text="Where is my parcel?"),),
        answers=(Answer(text="On its way. " * 40),),
    )
    return render(call, "F1")[0]
