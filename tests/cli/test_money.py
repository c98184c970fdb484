"""The commands of money as people and schedulers use them: what they print, where, and how they exit."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.command_line import called as chargeback

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples" / "events"
RATES = ROOT / "samples" / "rates.yaml"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "ledger"
    done = chargeback("replay", SAMPLES, "--rates", RATES, "--ledger", folder, "--quiet")
    assert done.returncode in (0, 1), done.stderr
    return folder


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_report_prints_nothing_but_data_in_json_and_csv(ledger):
    by = ("report", "--ledger", ledger, "--by", "cost-centre,day", "--format")
    told, table = (
        rows(chargeback(*by, "json")),
        list(csv.DictReader(io.StringIO(chargeback(*by, "csv").stdout))),
    )

    assert len(told) == len(table) > 4
    assert sum(Decimal(row["billed"]) for row in told) == sum(Decimal(row["billed"]) for row in table)
    for share in ("estimated", "truncated", "lower_bound", "upper_bound", "unpriced"):
        assert share in told[0]


def test_report_always_tells_the_shares_that_are_not_certain(ledger):
    done = chargeback("report", "--ledger", ledger, "--by", "model")

    assert "of all calls: estimated" in done.stdout
    assert "unpriced" in done.stdout.splitlines()[-1]


def test_report_of_a_span_and_its_rest_are_the_whole(ledger):
    def billed(*span):
        done = chargeback("report", "--ledger", ledger, "--by", "rating", "--format", "json", *span)
        return sum((Decimal(row["billed"]) for row in rows(done)), Decimal(0))

    noon = "2026-11-04T12:00:00Z"
    assert billed("--to", noon) + billed("--from", noon) == billed() == billed("--period", "2026-11")


def test_report_writes_the_page_and_the_export_beside_the_table(ledger, tmp_path):
    done = chargeback(
        "report", "--ledger", ledger, "--period", "2026-11", "--html", tmp_path / "bill.html", "--focus", tmp_path / "focus.csv"
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "FOCUS 1.2 rows" in done.stderr
    assert (tmp_path / "bill.html").read_text().startswith("<!doctype html>")


def test_statements_add_up_to_the_report(ledger, tmp_path):
    done = chargeback("statements", "2026-11", "--out", tmp_path, "--ledger", ledger)

    assert done.returncode == 0, done.stderr
    amounts = [
        Decimal(row["amount"])
        for file in tmp_path.glob("*.csv")
        for row in csv.DictReader(file.read_text().splitlines())
        if row["amount"]
    ]
    whole = rows(chargeback("report", "--ledger", ledger, "--by", "month", "--format", "json"))[0]
    assert sum(amounts) == Decimal(whole["billed"])


def test_explain_takes_a_charge_apart(ledger):
    [charge, *_] = rows(
        chargeback("replay", SAMPLES / "v1.jsonl", "--rates", RATES, "--format", "json", "--quiet")
    )
    done = chargeback("explain", charge["charge_id"][:10], "--ledger", ledger)

    assert done.returncode == 0, done.stderr
    line = charge["lines"][0]
    assert f"{line['meter']}: {line['quantity']} tokens x" in done.stdout
    assert line["rate_id"] in done.stdout


def test_explain_says_why_a_call_has_no_price(tmp_path):
    later = RATES.read_text().replace('from: "2026-01-01", to: null}', 'from: "2026-11-20", to: null}')
    (tmp_path / "later.yaml").write_text(later)
    chargeback(
        "replay",
        SAMPLES / "v1.jsonl",
        "--rates",
        tmp_path / "later.yaml",
        "--ledger",
        tmp_path / "ledger",
        "--quiet",
    )
    [charge, *_] = rows(
        chargeback(
            "replay", SAMPLES / "v1.jsonl", "--rates", tmp_path / "later.yaml", "--format", "json", "--quiet"
        )
    )
    assert charge["rating_reason"] == "unknown_deployment"

    done = chargeback("explain", charge["charge_id"], "--ledger", tmp_path / "ledger")
    assert "unpriced unknown_deployment" in done.stdout
    assert f"{charge['account']}/{charge['deployment']}: begins 2026-11-20" in done.stdout


def test_close_lists_what_stands_in_its_way_and_writes_nothing(ledger, tmp_path):
    done = chargeback("close", "2099-01", "--ledger", ledger)

    assert done.returncode == 2
    assert "2099-01 is not over" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (ledger / "close").exists()


@pytest.fixture(scope="module")
def march(tmp_path_factory):
    """A ledger of a month that is over: the samples, moved, and one call of a deployment nobody knows."""
    folder = tmp_path_factory.mktemp("march")
    lines = (SAMPLES / "v1.jsonl").read_text().replace("2026-11-", "2026-03-").splitlines()
    stranger = json.loads(lines[0])
    stranger["body"] |= {"request_id": "5a000000-0000-4000-8000-00000000ffff", "deployment": "nobody-knows"}
    asked = json.loads(lines[1])
    asked["body"] |= {"kind": "identity", "request_id": "5a000000-0000-4000-8000-00000000eeee"}
    del asked["body"]["usage"]
    more = [
        json.dumps(each | {"sequence_number": 99_000 + place}) for place, each in enumerate((stranger, asked))
    ]
    (folder / "events.jsonl").write_text("\n".join([*lines, *more]))
    done = chargeback(
        "replay", folder / "events.jsonl", "--rates", RATES, "--ledger", folder / "ledger", "--quiet"
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_month_goes_from_open_over_draft_to_closed(march):
    def close(*words):
        return chargeback("close", "2026-03", "--ledger", march / "ledger", *words)

    def billed():
        by = (
            "report",
            "--ledger",
            march / "ledger",
            "--period",
            "2026-03",
            "--by",
            "month",
            "--format",
            "json",
        )
        return Decimal(rows(chargeback(*by))[0]["billed"])

    before = billed()
    blocked = close("--list", march / "obstacles.csv")
    [obstacle] = csv.DictReader((march / "obstacles.csv").read_text().splitlines())
    (march / "waivers.csv").write_text(f"id,who,why\n{obstacle['id']},Ada,a test nobody ordered\n")
    draft = close("--draft", "--waive", march / "waivers.csv")
    closed = close("--waive", march / "waivers.csv")
    again = close()

    assert (blocked.returncode, obstacle["kind"]) == (1, "unpriced")
    assert "3 calls of 2026-03 are known only by who made them" in blocked.stderr
    assert (draft.returncode, draft.stdout) == (0, "2026-03: draft; nothing stands in the way\n")
    assert (closed.returncode, "2026-03: closed;" in closed.stdout) == (0, True), closed.stderr
    assert "1 waived" in closed.stdout
    assert (again.returncode, "2026-03 is closed already" in again.stderr) == (2, True)
    assert billed() == before

    done = chargeback("statements", "2026-03", "--ledger", march / "ledger", "--out", march / "statements")
    assert done.returncode == 0, done.stderr
    assert "Ada: a test nobody ordered" in (march / "statements" / "2026-03-UNALLOCATED.csv").read_text()


def test_calls_without_usage_are_counted_and_listed(march):
    by = ("report", "--ledger", march / "ledger", "--by", "model", "--format", "csv")
    told, listed = chargeback(*by), chargeback(*by, "--unbilled", march / "unbilled.csv")

    assert "open question: 3 calls" in told.stderr
    assert told.stdout == listed.stdout
    found = list(csv.DictReader((march / "unbilled.csv").read_text().splitlines()))
    assert len(found) == 3
    assert "5a000000-0000-4000-8000-00000000eeee" in {row["request_id"] for row in found}
    assert all(row["occurred_at"].startswith("2026-03-") for row in found)


def test_rates_apply_makes_a_run_that_reports_use(ledger, tmp_path):
    import shutil

    copy = tmp_path / "ledger"
    shutil.copytree(ledger, copy)
    text = RATES.read_text()
    assert text.count('price: "2.50"') >= 1
    (tmp_path / "new.yaml").write_text(text.replace('price: "2.50"', 'price: "5.00"'))
    before = rows(chargeback("report", "--ledger", copy, "--by", "month", "--format", "json"))[0]

    done = chargeback(
        "rates",
        "apply",
        "--table",
        tmp_path / "new.yaml",
        "--from",
        "2026-11-01",
        "--to",
        "2026-12-01",
        "--ledger",
        copy,
    )
    after = rows(chargeback("report", "--ledger", copy, "--by", "month", "--format", "json"))[0]
    assert done.returncode == 0, done.stderr
    assert Decimal(after["billed"]) > Decimal(before["billed"])
    assert f"{Decimal(after['billed']):f} now" in done.stdout


def test_budgets_exit_with_1_when_one_is_exceeded(ledger, tmp_path):
    text = RATES.read_text()
    for amount, code in (("1000", 0), ("0.01", 1)):
        file = tmp_path / f"{code}.yaml"
        file.write_text(text + f'\nbudgets:\n- {{cost_centre: CC-300, amount: "{amount}"}}\n')
        done = chargeback("budgets", "2026-11", "--ledger", ledger, "--rates", file, "--format", "json")
        assert done.returncode == code, done.stderr
        assert rows(done)[0]["cost_centre"] == "CC-300"


def test_rates_import_shows_what_it_cannot_map(tmp_path):
    item = {
        "currencyCode": "USD", "retailPrice": 16.5, "armRegionName": "eastus", "meterId": "m", "meterName": "5.4 opt Dz",
        "productName": "Azure OpenAI GPT5", "unitOfMeasure": "1M", "type": "Consumption", "effectiveStartDate": "2026-08-01",
    }  # fmt: skip
    (tmp_path / "page.json").write_text(json.dumps({"Items": [item], "NextPageLink": None}))
    done = chargeback(
        "rates", "import", ROOT / "rates" / "azure-openai.yaml", "--page", tmp_path / "page.json"
    )

    assert done.returncode == 0, done.stderr
    assert "may be output_text of Azure OpenAI GPT5 '5.4', DataZoneStandard" in done.stdout
    (tmp_path / "empty.json").write_text('{"Items": [], "NextPageLink": null}')
    empty = chargeback("rates", "import", RATES, "--page", tmp_path / "empty.json")
    assert (empty.returncode, "0 prices" in empty.stderr) == (2, True)


def test_reconcile_exits_with_1_when_something_does_not_agree(ledger, tmp_path):
    (tmp_path / "log.csv").write_text(
        "TimeGenerated,DeploymentName,PromptTokens,CompletionTokens\n2026-11-03T10:00:00Z,nobody,5,5\n"
    )
    done = chargeback(
        "reconcile", "--gateway-log", tmp_path / "log.csv", "--ledger", ledger, "--format", "json"
    )

    assert done.returncode == 1
    cell = next(row for row in rows(done) if row["deployment"] == "nobody" and row["meter"] == "prompt")
    assert (cell["agrees"], cell["causes"]) == (
        "no",
        "calls past the gateway: a key or identity that goes to the resource itself",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("report", "--by", "cost-center"), "--by: unknown key 'cost-center' (did you mean 'cost-centre'?)"),
        (("report", "--from", "yesterday"), "--from 'yesterday': expected a date such as"),
        (("report", "--from", "2026-11-02", "--to", "2026-11-02"), "expected an end after the start"),
        (("report", "--period", "2026-11", "--from", "2026-11-02"), "--period is a whole month"),
        (("statements", "November", "--out", "x"), "period 'November': expected a calendar month such as 2026-11"),
        (("explain", "nothing-like-it"), "no charge 'nothing-like-it' in this ledger"),
        (("reconcile",), "nothing to compare with"),
        (("budgets", "2026-11"), "has no budget for 2026-11"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line_and_exit_code_2(ledger, words, message):
    done = chargeback(*words, "--ledger", ledger)

    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_the_picture_of_the_readme_shows_this_bill(ledger):
    whole = rows(chargeback("report", "--ledger", ledger, "--by", "month", "--format", "json"))[0]
    picture = (ROOT / "docs" / "images" / "bill.svg").read_text("utf-8")

    assert f"{Decimal(whole['billed']):f}" in picture, "run `make demo pictures` and look at both pictures"
