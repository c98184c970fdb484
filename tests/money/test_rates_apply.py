"""A rating run by its commands: priced again, reported, sent under the same ids, pinned by a close; also on blobs."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support import azurite
from tests.support.ingestion import IngestionEndpoint

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples" / "events" / "v1.jsonl"
RATES = (ROOT / "samples" / "rates.yaml").read_text()
NOVEMBER = ("--from", "2026-11-01", "--to", "2026-12-01")


def chargeback(*words, **env):
    return subprocess.run(
        [sys.executable, "-m", "chargeback.cli", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **env},
        check=False,
    )


def billed(ledger, *words, **env):
    done = chargeback("report", "--by", "month", "--format", "json", "--ledger", ledger, *words, **env)
    assert done.returncode == 0, done.stderr
    [row] = map(json.loads, done.stdout.splitlines())
    return Decimal(row["billed"])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the sample table, a dearer one, a ledger rated by the first, and its charges."""
    folder = tmp_path_factory.mktemp("runs")
    dear = RATES.replace('price: "2.50"', 'price: "5.00"')
    assert dear != RATES
    tables = {}
    for name, text in {"old": RATES, "dear": dear}.items():
        tables[name] = folder / f"{name}.yaml"
        tables[name].write_text(text)
    done = replay(tables["old"], "--ledger", folder / "ledger", "--format", "json")
    charges = {each["charge_id"]: each for each in map(json.loads, done.stdout.splitlines())}
    return tables, folder / "ledger", charges


@pytest.fixture
def tables(made):
    return made[0]


@pytest.fixture
def ledger(made, tmp_path):
    return shutil.copytree(made[1], tmp_path / "ledger")


def replay(table, *words, **env):
    done = chargeback("replay", SAMPLES, "--rates", table, "--quiet", *words, **env)
    assert done.returncode == 0, done.stderr
    return done


def applied(ledger, table, *words, **env):
    done = chargeback(
        "rates", "apply", "--table", table, *NOVEMBER, "--ledger", ledger, "--quiet", *words, **env
    )
    return done, done.stdout.partition(":")[0].removeprefix("run ")


def adjustments(endpoint):
    return {
        data["properties"]["TokenInfoId"]: data["properties"]
        for item in endpoint.items
        if (data := item["data"]["baseData"])["name"] == "Chargeback Adjustment"
    }


def test_what_a_run_changes_is_reported_and_goes_out_once_under_the_ids_of_the_charges(made, tables, ledger):
    charges = made[2]
    before = billed(ledger)
    with IngestionEndpoint() as endpoint:
        env = {"APPLICATIONINSIGHTS_CONNECTION_STRING": endpoint.connection_string}
        done, run = applied(ledger, tables["dear"], "--telemetry", **env)
        assert done.returncode == 0, done.stderr
        sent = adjustments(endpoint)
        again = chargeback("rates", "send", run, "--ledger", ledger, **env)

    dearer = {
        name for name, each in charges.items() if any(line["price"] == "2.50" for line in each["lines"])
    }
    assert set(sent) == dearer != set()
    assert len(endpoint.items) == len(dearer), "a run goes out once, and nothing else with it"
    assert (again.returncode, "0 events confirmed" in again.stderr) == (0, True)
    rise = sum(Decimal(each["TotalCost"]) - Decimal(each["PreviousCost"]) for each in sent.values())
    assert billed(ledger) - before == rise > 0
    assert all(Decimal(sent[name]["PreviousCost"]) == Decimal(charges[name]["total_cost"]) for name in sent)


def test_the_newest_run_decides_and_its_events_may_go_out_later(tables, ledger):
    before = billed(ledger)
    _, one = applied(ledger, tables["dear"])
    second, two = applied(ledger, tables["old"])

    assert (second.returncode, one != two) == (0, True), second.stderr
    assert billed(ledger) == before
    with IngestionEndpoint() as endpoint:
        env = {"APPLICATIONINSIGHTS_CONNECTION_STRING": endpoint.connection_string}
        later = chargeback("rates", "send", two, "--ledger", ledger, **env)
        assert later.returncode == 0, later.stderr
        assert f"{len(adjustments(endpoint))} events confirmed" in later.stderr
        assert {each["Run"] for each in adjustments(endpoint).values()} == {two}


def test_a_run_is_not_begun_when_its_events_have_nowhere_to_go(tables, ledger):
    done, _ = applied(ledger, tables["dear"], "--telemetry")

    assert (done.returncode, done.stdout) == (2, "")
    assert "set APPLICATIONINSIGHTS_CONNECTION_STRING" in done.stderr
    assert not list((ledger / "journal").rglob("kind=run"))


def test_a_run_that_is_not_there_is_told_in_one_line(ledger):
    done = chargeback(
        "rates", "send", "no-such-run", "--ledger", ledger,
        APPLICATIONINSIGHTS_CONNECTION_STRING=f"InstrumentationKey={'0' * 8}-0000-0000-0000-{'0' * 12};IngestionEndpoint=http://127.0.0.1:9/",
    )  # fmt: skip

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no rating run 'no-such-run'" in done.stderr


@pytest.mark.azurite
def test_a_run_in_a_container_is_the_one_in_a_folder(tables, ledger):
    folder, _ = applied(ledger, tables["dear"])
    container = f"money-{uuid.uuid4().hex[:12]}"  # the cache of reports is named after the container
    with azurite.running() as connection:
        env = {"CHARGEBACK_STORAGE": "MONEY", "MONEY": connection}
        replay(tables["old"], "--ledger", container, **env)
        done, _ = applied(container, tables["dear"], **env)

        assert done.returncode == 0, done.stderr
        assert done.stdout.partition(": ")[2] == folder.stdout.partition(": ")[2]
        assert billed(container, **env) == billed(ledger)
