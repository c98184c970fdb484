"""The page a controller opens: whole without a network, in light and dark, with script and without."""

import os
import re
import shutil
import struct
import subprocess
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from chargeback.journal.rows import Reject
from chargeback.report.page import write
from chargeback.report.span import month
from tests.money.books import append, books_at, ledger_at, table
from tests.money.test_pools import TABLE, pooled

NOVEMBER = month("2026-11")
START = datetime(2026, 11, 1, tzinfo=UTC)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BUDGETS = 'budgets:\n- {cost_centre: CC-1, amount: "10"}\n- {cost_centre: CC-2, amount: "5000"}\n'
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A month of made-up use with pools, budgets, an unpriced call, a reject and a hostile name."""
    folder = tmp_path_factory.mktemp("page")
    ledger = ledger_at(folder)
    rows = [
        pooled(number, caller, START + timedelta(hours=7 * number), 900 * number, 100 * number, route)
        for number, (caller, route) in enumerate(
            [("shop", "chat"), ("legal", "chat"), ("lab", "mini")] * 20, 1
        )
    ]
    rows[3] = msgspec.structs.replace(
        rows[3], rating="unpriced", rating_reason="no_rate", total_cost=None, lines=()
    )
    rows[4] = msgspec.structs.replace(rows[4], app_id=HOSTILE)
    rows[5] = msgspec.structs.replace(rows[5], usage_source="estimated", usage_notes=("aborted",))
    append(
        ledger,
        [*rows, Reject(row_id="r", reason="not_json", message="m", dead_letter="d", enqueued_at=START)],
    )
    with books_at(ledger, folder, rates=table(TABLE + BUDGETS), span=NOVEMBER) as books:
        write(folder / "out" / "bill.html", books, NOVEMBER)
    return folder / "out" / "bill.html"


def test_the_page_loads_nothing_from_anywhere(page):
    text = page.read_text()

    assert not re.search(r"(src|href|url)\s*[=(]\s*['\"]?(https?:)?//", text)
    assert "default-src 'none'" in text
    assert "<link" not in text


def test_names_of_strangers_stay_text(page):
    text = page.read_text()

    assert HOSTILE not in text
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;" in text
    assert text.count("</script>") == 2


@pytest.mark.parametrize(
    "told",
    [
        "Cost over time by cost centre",
        "Top consumers",
        "Tokens by model",
        "How usage is known",
        "Pools: used and idle",
        "chat-ptu",
        "Budget and actual",
        "CC-1, 2026-11",
        "1 calls without a price",
        "1 rejected events (not_json)",
        "20 calls of nobody",
        "aria-label=",
    ],
)
def test_the_page_tells(page, told):
    assert told in page.read_text()


def browse(page, *options, folder):
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars",
            f"--user-data-dir={folder}", "--window-size=1280,1600", "--virtual-time-budget=2000", *options,
        ],
        capture_output=True,
        timeout=100,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip
    return done.stdout.decode()


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")


@needs_chromium
def test_the_script_runs_and_counts_the_lines(page, tmp_path):
    dom = browse(page, "--dump-dom", page.as_uri(), folder=tmp_path)

    lines, calls = re.search(r'<output id="found">(\d+) lines, (\d+) calls', dom).groups()
    assert (int(lines) > 3, calls) == (True, "60")
    assert re.search(r'<input id="filter"(?![^>]*hidden)', dom)
    assert "<img" not in dom


SORT_AND_FILTER = """
<script>
const heads = [...document.querySelectorAll("#lines th")];
const filter = document.getElementById("filter");
filter.value = "cc-2"; filter.dispatchEvent(new Event("input"));
heads[6].click();
document.body.dataset.shown = [...document.querySelectorAll("#lines tbody tr")].filter((row) => !row.hidden).map((row) => row.cells[0].textContent).join();
filter.value = ""; filter.dispatchEvent(new Event("input"));
document.body.dataset.calls = [...document.querySelectorAll("#lines tbody tr")].map((row) => row.cells[6].textContent.replaceAll(",", "")).join();
</script>
"""


@needs_chromium
def test_the_table_filters_and_sorts(page, tmp_path):
    driven = tmp_path / "driven.html"
    driven.write_text(page.read_text().replace("</body>", SORT_AND_FILTER + "</body>"))

    dom = browse(page, "--dump-dom", driven.as_uri(), folder=tmp_path / "profile")
    shown = re.search(r'data-shown="([^"]*)"', dom)[1].split(",")
    calls = [int(each) for each in re.search(r'data-calls="([^"]*)"', dom)[1].split(",")]
    assert set(shown) == {"CC-2"}
    assert calls == sorted(calls, reverse=True)


@needs_chromium
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_can_be_seen(page, tmp_path, theme):
    picture = page.parent / f"{theme}.png"
    browse(page, f"--screenshot={picture}", f"{page.as_uri()}#{theme}", folder=tmp_path)

    data = picture.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (1280, 1600)
    assert len(data) > 40_000, "an empty page is smaller"
