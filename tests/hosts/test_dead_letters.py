"""What could not be billed is kept to the byte, shown on request only, and tried again under its own name."""

import json
from datetime import timedelta

import msgspec
import pytest
from typer.testing import CliRunner

from chargeback import wiring
from chargeback.charge import Charge
from chargeback.cli.commands import app
from chargeback.journal.local import ledger as local_ledger
from chargeback.journal.rows import Reject, encode
from chargeback.journal.winner import calls
from chargeback.report import ledger_rows
from chargeback.requeue import requeue
from chargeback.stream_worker import StreamWorker
from chargeback.worker import Worker
from tests.support import oracle
from tests.support.calls import Counts
from tests.support.charges import CONTEXT, rows_of
from tests.support.events import NOON, events_of
from tests.support.ingestion import IngestionEndpoint
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

POISON = b'{"canary-7c1": \xff'


def whole(number):
    usage = Counts(prompt=100, completion=20)
    return render(a_call(CALLERS["shop"], ROUTES["chat"], NOON, number, usage=usage), "v1")[0]


@pytest.fixture
def ledger(tmp_path):
    return local_ledger(tmp_path / "ledger", writer="test", now=lambda: NOON)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command on the ledger of this test."""
    monkeypatch.setenv("CHARGEBACK_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.setenv("CHARGEBACK_RATES", str(oracle.SAMPLE_RATES))
    wiring.settings.cache_clear()
    yield lambda *words: CliRunner().invoke(app, words)
    wiring.settings.cache_clear()


@pytest.fixture
def poisoned(ledger):
    """One good event, and two that were rejected: one of them only because of what the worker knew then."""
    stream = events_of([whole(1), POISON, whole(2)])
    journal = f"stream/{stream[0].stream}"
    spoiled = [stream[0], stream[1], msgspec.structs.replace(stream[2], body=b"\x00" + stream[2].body)]
    StreamWorker(ledger.journal(journal), ledger, lambda: CONTEXT).handle(spoiled)
    path = str(stream[2])
    about = ledger.dead_letters.get(path)[1]
    ledger.dead_letters.put(path, stream[2].body, about)  # mended since
    return ledger, [str(event) for event in stream]


def test_a_letter_that_can_be_read_by_now_is_billed_under_its_own_name_and_deleted(poisoned, run):
    ledger, names = poisoned

    result = run("dead-letters", "requeue", "--all")

    assert result.exit_code == 1, result.output
    assert "1 done and deleted, 1 rejected again" in result.output
    assert list(ledger.dead_letters.list()) == [names[1]]
    found = {call.charge.row_id: call.charge for call in calls(ledger_rows(ledger))}
    assert set(found) == {f"{names[0]}/0", f"{names[2]}/0"}
    assert found[f"{names[2]}/0"].enqueued_at == NOON + timedelta(seconds=2)
    [journal] = [name for name in ledger.journals() if name.startswith("source/requeue-")]
    assert len(list(ledger.journal(journal).read())) == 2


def test_the_same_letter_requeued_twice_counts_once(poisoned):
    ledger, names = poisoned
    body, about = ledger.dead_letters.get(names[2])

    requeue(ledger, [names[2]], CONTEXT, None, NOON)
    ledger.dead_letters.put(names[2], body, about)
    requeue(ledger, [names[2]], CONTEXT, None, NOON)

    assert len([row for row in ledger_rows(ledger) if isinstance(row, Charge)]) == 3
    assert len(list(calls(ledger_rows(ledger)))) == 2


def test_list_and_show_keep_the_bytes_to_themselves_until_told(poisoned, run):
    _, names = poisoned

    listed, shown = run("dead-letters", "list"), run("dead-letters", "show", names[1])
    revealed = run("dead-letters", "show", names[1], "--reveal")

    assert names[1] in listed.output
    assert "not_json" in listed.output
    assert "canary" not in listed.output + shown.output
    assert revealed.stdout_bytes == POISON
    [first, *_] = map(json.loads, run("dead-letters", "list", "--json").stdout.splitlines())
    assert first["reason"] == "not_json"


@pytest.mark.parametrize(
    "words", [("show", "nothing"), ("requeue", "nothing"), ("requeue",), ("requeue", "x", "--all")]
)
def test_what_is_not_there_is_said_in_one_line(run, words):
    from chargeback.errors import UsageError

    result = run("dead-letters", *words)

    assert isinstance(result.exception, UsageError)


def test_refused_telemetry_is_sent_again_and_deleted_once_confirmed(ledger):
    [charge] = rows_of(whole(1))
    ledger.dead_letters.put("telemetry/row", encode(charge), {"reason": "telemetry_refused"})

    with IngestionEndpoint(clock=lambda: NOON) as endpoint:
        from chargeback.sinks.application_insights import ApplicationInsights

        sender = ApplicationInsights(endpoint.connection_string, clock=lambda: NOON, deadline_s=2)
        done = requeue(ledger, ["telemetry/row"], CONTEXT, sender, NOON)
        sender.close()

    assert (done.done, done.again) == (1, 0)
    assert dict(endpoint.accepted) == {charge.charge_id: 1}
    assert list(ledger.dead_letters.list()) == []


def test_letters_past_their_days_are_swept_by_the_timer(poisoned):
    ledger, _ = poisoned
    clock = [0.0]
    letters = ledger.dead_letters

    def worker(later):
        return Worker(
            ledger,
            lambda: CONTEXT,
            None,
            now=lambda: wiring.now() + later,
            monotonic=lambda: clock[0],
            budget_s=1,
            keep_letters=timedelta(days=90),
        )

    worker(timedelta(days=89)).settle()
    assert len(list(letters.list())) == 2
    worker(timedelta(days=91)).settle()

    assert list(letters.list()) == []
    assert len([row for row in ledger_rows(ledger) if isinstance(row, Reject)]) == 2, "the journal remembers"
