"""The command line as people and schedulers use it: what it prints, where, and how it exits."""

import json
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from chargeback.charge import Charge
from tests.support import oracle
from tests.support.calls import Counts
from tests.support.command_line import called as chargeback
from tests.support.events import NOON
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call, sample_calls

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples" / "events"
RATES = ROOT / "samples" / "rates.yaml"


def replay(*words, **env):
    return chargeback("replay", *words, "--rates", RATES, **env)


@pytest.fixture
def captured(tmp_path):
    """Three calls in a file, one line each, without envelopes."""
    made = [
        a_call(CALLERS["shop"], ROUTES["chat"], NOON, number, usage=Counts(prompt=1000, completion=number))
        for number in (1, 2, 3)
    ]
    file = tmp_path / "captured.jsonl"
    file.write_bytes(
        b"".join(json.dumps(json.loads(render(call, "v1")[0])).encode() + b"\n" for call in made)
    )
    return file


def test_the_samples_cost_what_the_oracle_says_by_subscription_app_and_deployment(tmp_path):
    done = replay(SAMPLES, "--ledger", tmp_path / "ledger")
    report = chargeback(
        "report", "--ledger", tmp_path / "ledger", "--by", "subscription,app,deployment", "--format", "json"
    )

    assert done.returncode == 1, "one sample is unreadable on purpose"
    groups = [json.loads(line) for line in report.stdout.splitlines()]
    billed = {
        (g["subscription"], g["app"], g["deployment"]): Fraction(g["cost"])
        for g in groups
        if Fraction(g["cost"])
    }
    wanted = oracle.bill(sample_calls(), oracle.sample_rates())
    assert billed == {keys: cost for keys, cost in wanted.items() if cost}


def test_json_is_one_charge_a_line_with_every_field_and_nothing_else_on_stdout(captured):
    done = replay(captured, "--format", "json")

    charges = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert len(charges) == 3
    assert all(set(charge) == {"row", *Charge.__struct_fields__} for charge in charges)
    for charge in charges:
        assert Decimal(charge["total_cost"]) == sum(Decimal(line["cost"]) for line in charge["lines"])
        assert "E" not in charge["total_cost"]


def test_csv_has_a_header_and_a_line_for_each_charge(captured):
    done = replay(captured, "--format", "csv")

    assert done.stdout.splitlines()[0].startswith("charge_id,row_id,occurred_at")
    assert len(done.stdout.splitlines()) == 4


def test_replaying_twice_into_one_ledger_bills_once(captured, tmp_path):
    ledger = tmp_path / "ledger"
    first = replay(captured, "--ledger", ledger, "--format", "json")
    second = replay(captured, "--ledger", ledger, "--format", "json")
    report = chargeback("report", "--ledger", ledger, "--by", "subscription", "--format", "json")

    assert first.stdout == second.stdout
    assert json.loads(report.stdout)["calls"] == 3


def test_the_same_calls_in_another_file_are_billed_once_too(captured, tmp_path):
    ledger, other = tmp_path / "ledger", tmp_path / "again.jsonl"
    other.write_bytes(captured.read_bytes() + b"\n")
    replay(captured, "--ledger", ledger)
    replay(other, "--ledger", ledger)

    report = chargeback("report", "--ledger", ledger, "--by", "subscription", "--format", "json")

    assert json.loads(report.stdout)["calls"] == 3


def test_nothing_is_written_unless_a_folder_is_named(captured, tmp_path):
    before = sorted(tmp_path.rglob("*"))

    replay(captured)

    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("more", [(), ("--quiet",)])
def test_rejects_are_counted_kept_and_change_the_exit_code(captured, tmp_path, more):
    with captured.open("ab") as file:
        file.write(b'{"secret": "canary-value"\n')
    rejects = tmp_path / "rejects.jsonl"

    done = replay(captured, "--rejects", rejects, "--format", "json", *more)

    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 3
    assert "rejected 1 (unknown_format)" in done.stderr
    assert "canary" not in done.stderr
    [line] = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert line["reason"] == "unknown_format"


def test_expected_charges_may_name_any_fields_and_differences_are_told(captured, tmp_path):
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text('{"prompt_tokens": 1000}\n{"completion_tokens": 2, "rating": "priced"}\n{}\n')
    bad.write_text('{"prompt_tokens": 999}\n')

    assert replay(captured, "--expect", good).returncode == 0
    done = replay(captured, "--expect", bad)

    assert done.returncode == 1
    assert "prompt_tokens: expected 999, got 1000" in done.stderr
    assert "expected 1 charges, got 3" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("replay", "no-such-file"), "no such file or folder"),
        (("replay", "docs/schemas/event-v1.json", "--rates", "no-such.yaml"), "no-such.yaml: cannot be read"),
        (("replay", "samples/events", "--telemetry"), "--telemetry needs --ledger"),
        (("report",), "no ledger"),
        (("report", "--ledger", "out/nothing-here", "--by", "colour"), "unknown key 'colour'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(words, told):
    done = chargeback(*words)

    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_a_rate_table_is_checked_with_all_faults_at_once(tmp_path):
    broken = tmp_path / "rates.yaml"
    broken.write_text(
        RATES.read_text().replace('price: "', "price: ", 1).replace("currency: USD", "currency: Taler")
    )

    good, bad = chargeback("rates", "check", RATES), chargeback("rates", "check", broken)

    assert good.returncode == 0
    assert bad.returncode == 1
    assert "currency" in bad.stdout
    assert "price" in bad.stdout


def test_a_key_becomes_the_key_id_of_the_bill_and_is_not_repeated():
    plain = chargeback("pseudonym", stdin="0a1b2c3d4e5f60718293a4b5c6d7e8f9\n")
    keyed = chargeback(
        "pseudonym", stdin="0a1b2c3d4e5f60718293a4b5c6d7e8f9\n", CHARGEBACK_PSEUDONYM_KEY="v2:secret"
    )

    assert plain.stdout == "435cdbd557a00db74aad01efa3c83ef7\n"
    assert keyed.stdout.startswith("v2-")
    assert len(keyed.stdout.strip()) == 35


def test_a_pipe_that_closes_early_is_no_error():
    script = f"{sys.executable} -m chargeback.cli replay samples/events --rates samples/rates.yaml --format json --quiet | head -c 10"

    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)

    assert "Traceback" not in done.stderr
