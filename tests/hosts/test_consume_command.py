"""``chargeback send`` and ``chargeback consume`` as processes: sent as captured, billed once, ended by SIGTERM."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chargeback import wiring
from chargeback.cli.checkups import CHECKS
from chargeback.cli.commands import app
from tests.support import oracle
from tests.support.amqp import annotations, decode, sections, skip
from tests.support.calls import Counts
from tests.support.consuming import HUB, opened, positions
from tests.support.events import NOON
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

ROOT = Path(__file__).parents[2]


def body(number):
    usage = Counts(prompt=100, completion=20)
    return render(a_call(CALLERS["shop"], ROUTES["chat"], NOON, number, usage=usage), "v1")[0].decode()


@pytest.fixture
def chargeback(monkeypatch):
    """Start the command with this test's environment; the processes are ended with the test."""
    started = []

    def start(*words):
        command = [sys.executable, "-m", "chargeback.cli", *words]
        process = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stderr.close()


def wait_for(true, seconds=40):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


@pytest.mark.azurite
def test_two_processes_share_the_partitions_tell_one_status_and_end_at_sigterm(
    broker, settings_for, chargeback
):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = settings_for(CHARGEBACK_HEALTH=f"127.0.0.1:{port}")
    ledger = opened(settings)
    for partition in range(4):
        broker.put(HUB, partition, [body(partition * 1000 + n).encode() for n in range(1, 51)])

    process = chargeback("consume", "--processes", "2")
    everything = {str(number): list(range(50)) for number in range(4)}
    wait_for(lambda: positions(ledger) == everything)
    # Not events: a partition that changes hands is read again, and what was read again is counted too.
    wait_for(lambda: _told(port).get("charges", 0) >= 200)
    wait_for(lambda: (status := _told(port))["partitions"] == 4 and status["healthy"] and not status["lag"])
    told = _told(port)
    assert (told["charges"], told["rejects"], told["missing"], told["pending"]) == (200, 0, 0, 0)
    assert min(told["lag_s"], told["batch_s"]) >= 0
    process.send_signal(signal.SIGTERM)
    _, lines = process.communicate(timeout=30)

    assert process.returncode == 0, lines
    assert "consume.status" in lines
    assert "batch.committed" in lines
    assert positions(ledger) == everything


def _told(port):
    """What the health endpoint says, healthy or not; nothing before it listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return json.loads(error.read())
    except OSError:
        return {}


def test_send_keeps_bodies_keys_and_properties(broker, monkeypatch, tmp_path):
    lines = [
        {"body": body(n), "partition_key": f"call-{n // 3}", "properties": {"kind": "usage", "n": n}}
        for n in range(1, 10)
    ]
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + body(99).replace("\r\n", " ") + "\n")
    monkeypatch.setenv("EVENT_HUB_CONNECTION", broker.connection_string())
    monkeypatch.setenv("EVENT_HUB_NAME", HUB)
    wiring.settings.cache_clear()

    result = CliRunner().invoke(app, ["send", str(file)])
    wiring.settings.cache_clear()

    assert result.exit_code == 0, result.output
    records = [record for log in broker.hubs[HUB].partitions for record in log.records]
    assert len(records) == 10
    by_body = {record.body.decode(): record for record in records}
    for line in lines:
        found = dict(sections(by_body[line["body"]].message))
        told = annotations(found[0x72])
        assert decode(told["x-opt-partition-key"])[0] == line["partition_key"]
        assert decode(found[0x74], skip(found[0x74], 1))[0] == line["properties"]


def test_doctor_has_a_line_for_everything_and_a_remedy_for_what_is_wrong(broker, monkeypatch, tmp_path):
    monkeypatch.setenv("CHARGEBACK_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.setenv("CHARGEBACK_RATES", str(oracle.SAMPLE_RATES))
    monkeypatch.setenv("EVENT_HUB_CONNECTION", broker.connection_string())
    monkeypatch.setenv("EVENT_HUB_NAME", HUB)
    wiring.settings.cache_clear()
    good = CliRunner().invoke(app, ["doctor"])
    monkeypatch.setenv("EVENT_HUB_NAME", "nowhere")
    monkeypatch.setenv("CHARGEBACK_RATES", str(tmp_path / "none.yaml"))
    monkeypatch.setenv(
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=http://127.0.0.1:9/",
    )
    wiring.settings.cache_clear()
    bad = CliRunner().invoke(app, ["doctor"])
    wiring.settings.cache_clear()

    assert good.exit_code == 0, good.output
    marks = {line.split(":")[0].split(maxsplit=1)[1]: line.split()[0] for line in good.output.splitlines()}
    assert {name for name, mark in marks.items() if mark != "ok"} == {"clock", "gateway", "backlog"}
    assert marks.keys() == {"settings", *CHECKS}
    assert bad.exit_code == 1
    failed = [line.split(":")[0].split()[1] for line in bad.output.splitlines() if line.startswith("FAIL")]
    assert failed == ["rate", "hub", "telemetry"]
