"""One month with everything that goes wrong in a month, against the oracle: every call by its own moment.

A price change at an instant, a re-assignment, a rotated key, a markup change, a late event, a late duplicate,
a correction after the close, and a rating run.
"""

import csv
import dataclasses
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
import yaml

from chargeback.closing.close import close, draft
from chargeback.closing.obstacles import UNALLOCATED
from chargeback.custom_events import custom_event
from chargeback.errors import UsageError
from chargeback.journal.rows import Rerated
from chargeback.pipeline import Context
from chargeback.report.bill import total
from chargeback.report.closed import Waiver
from chargeback.report.focus import export
from chargeback.report.focus_check import check
from chargeback.report.query import groups
from chargeback.report.span import EVER, Span, month
from chargeback.report.statements import COLUMNS, Statement, statements, write, write_csv
from chargeback.rerating import apply
from tests.money.books import SAMPLES, STREAM, append, books_at, ledger_at, pass_time, table
from tests.support import oracle
from tests.support.calls import Counts
from tests.support.charges import charge_of
from tests.support.render import render
from tests.support.sample_calls import CALLERS, KEY_ROTATION, PRICE_CHANGE, ROUTES, a_call

NOVEMBER, DECEMBER_SPAN = month("2026-11"), month("2026-12")
REASSIGNED = datetime(2026, 11, 10, 8, tzinfo=UTC)
MARKED_UP = datetime(2026, 11, 15, tzinfo=UTC)
CLOSED_AT = datetime(2026, 12, 5, tzinfo=UTC)
TICK = timedelta(microseconds=1)

CENTRES = """
cost_centres:
- {id: CC-1, name: Sales, markups: [{percent: "5", to: "2026-11-15"}, {percent: "7.5", from: "2026-11-15"}]}
- {id: CC-2, name: Service}
- {id: UNALLOCATED}
assignments:
- {subscription: sub-shop, cost_centre: CC-1, to: "2026-11-10T08:00:00Z"}
- {subscription: sub-shop, cost_centre: CC-2, from: "2026-11-10T08:00:00Z"}
- {subscription: sub-legal, cost_centre: CC-1}
"""


def rates_text(*, cheaper=False):
    """The sample table with our payers; ``cheaper`` corrects a price of the last third of the month."""
    sections = re.split(r"^(?=\w)", SAMPLES, flags=re.MULTILINE)
    ours = [each for each in sections if not each.startswith(("cost_centres:", "assignments:"))]
    text = "".join(ours) + CENTRES
    if not cheaper:
        return text
    assert text.count('"0.48"') == 1
    return text.replace('"0.48"', '"0.36"')


def usages():
    """(number, caller, route, at, prompt, completion): both sides of every instant."""
    moments = [
        PRICE_CHANGE - TICK, PRICE_CHANGE, KEY_ROTATION - TICK, KEY_ROTATION, REASSIGNED - TICK, REASSIGNED,
        MARKED_UP - TICK, MARKED_UP, datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC),
    ]  # fmt: skip
    number = 0
    for at in moments:
        for caller, route in (("shop", "mini"), ("legal", "chat"), ("lab", "thinker")):
            number += 1
            yield a_call(
                CALLERS[caller], ROUTES[route], at, number, usage=Counts(prompt=1000 + number, completion=37)
            )


def charge(call, rates, number=None):
    context = Context(table=rates)
    first = number or int(call.request_id[-12:], 16)
    return charge_of(render(call, "v1")[0], first=first, context=context, start=call.at)


CALLS = list(usages())


def centre(call):
    if call.subscription_id == "sub-shop":
        return "CC-1" if call.at < REASSIGNED else "CC-2"
    return "CC-1" if call.subscription_id == "sub-legal" else UNALLOCATED


def expected(calls, text):
    """Cost centre -> exact money, worked out in fractions from the written table."""
    rates = oracle.Rates(yaml.load(text, Loader=yaml.BaseLoader))
    owed = {}
    for call in calls:
        cost = oracle.expected_cost(call, rates)
        who = centre(call)
        percent = Fraction(0)
        if who == "CC-1":
            percent = Fraction(5) if call.at < MARKED_UP else Fraction(15, 2)
        owed[who] = owed.get(who, Fraction(0)) + cost * (1 + percent / 100)
    return owed


def billed(books, span, by=("cost-centre",)):
    return {group.keys[0]: Fraction(group.billed) for group in groups(books, by, span) if group.billed}


@pytest.fixture
def november(tmp_path):
    """A ledger with the month's calls, the watermark behind its grace."""
    ledger = ledger_at(tmp_path, now=CLOSED_AT)
    rates = table(rates_text())
    append(ledger, [charge(call, rates) for call in CALLS[:-1]])
    pass_time(ledger, datetime(2026, 12, 4, tzinfo=UTC))
    return ledger


def closed_november(ledger, folder, waivers=()):
    with books_at(ledger, folder, now=CLOSED_AT, rates=table(rates_text()), span=NOVEMBER) as books:
        ready = draft(books, ledger, "2026-11", waivers, now=CLOSED_AT)
        assert ready.open == []
        return close(books, ledger, ready, waivers, now=CLOSED_AT, writer="test")


def test_every_call_is_billed_by_its_own_moment(november, tmp_path):
    with books_at(november, tmp_path, rates=table(rates_text())) as books:
        assert billed(books, NOVEMBER) == expected(CALLS[:-1], rates_text())


def test_a_late_event_counts_while_the_month_is_open_and_a_duplicate_never(november, tmp_path):
    rates = table(rates_text())
    late, twice = charge(CALLS[-1], rates), charge(CALLS[0], rates, number=900)
    append(november, [late, twice])

    with books_at(november, tmp_path, rates=rates) as books:
        assert billed(books, NOVEMBER) == expected(CALLS, rates_text())
        assert total(groups(books, ("day",), NOVEMBER)).calls == len(CALLS)


def test_the_manifest_is_the_month_and_statements_add_up_to_it(november, tmp_path):
    manifest = closed_november(november, tmp_path)

    wanted = expected(CALLS[:-1], rates_text())
    assert {each.cost_centre: Fraction(each.billed) for each in manifest.sums} == wanted
    assert Fraction(manifest.billed) == sum(wanted.values())
    assert manifest.billed == manifest.invoiced + manifest.residual
    assert [each.journal for each in manifest.journals] == [STREAM]
    with books_at(november, tmp_path, rates=table(rates_text()), span=NOVEMBER) as books:
        made = write(tmp_path / "out", books, "2026-11", NOVEMBER)
    assert sum((each.billed for each in made), Decimal(0)) == manifest.billed
    assert sum((each.due for each in made), Decimal(0)) == manifest.invoiced
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        f"2026-11-{name}.{kind}" for name in ("CC-1", "CC-2", "UNALLOCATED") for kind in ("csv", "html")
    ]


def test_a_statement_has_only_its_own_lines(november, tmp_path):
    with books_at(november, tmp_path, rates=table(rates_text()), span=NOVEMBER) as books:
        write(tmp_path / "out", books, "2026-11", NOVEMBER)

    service = (tmp_path / "out" / "2026-11-CC-2.csv").read_text() + (
        tmp_path / "out" / "2026-11-CC-2.html"
    ).read_text()
    assert "sub-shop" in service
    assert "sub-legal" not in service
    assert "sub-lab" not in service


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_name_that_a_caller_chose_is_no_formula_in_a_spreadsheet(tmp_path, name):
    line = tuple(name if column == "app" else Decimal(-1) for column in COLUMNS)
    file = tmp_path / "statement.csv"
    mine = Statement(cost_centre="CC", name="", billed=Decimal(-1), due=Decimal(-1), lines=[line])
    write_csv(file, mine)

    with file.open(newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert row["app"] == f"'{name}"
    assert row["amount"] == "-1", "an amount may be negative"


def test_what_comes_after_the_close_is_a_correction_of_the_next_month(november, tmp_path):
    manifest = closed_november(november, tmp_path)
    rates = table(rates_text())
    unseen, twice = charge(CALLS[-1], rates), charge(CALLS[0], rates, number=901)
    more = dataclasses.replace(CALLS[1], usage=Counts(prompt=5000, completion=37))
    append(november, [unseen, twice, charge(more, rates, number=902)])

    with books_at(november, tmp_path, now=CLOSED_AT, rates=rates) as books:
        again = {each.cost_centre: Fraction(each.billed) for each in manifest.sums}
        assert billed(books, NOVEMBER) == again, "a closed month never changes"
        next_month = groups(books, ("cost-centre",), DECEMBER_SPAN)
        assert sum(group.corrections for group in next_month) == 2, (
            "one late call, one other usage, no duplicate"
        )
        whole = total(next_month)
        made = statements(books, DECEMBER_SPAN)
        exported = export(tmp_path / "focus.csv", books, DECEMBER_SPAN)
        found = books.db.rows(
            "SELECT corrects, occurred_at, prompt_tokens FROM due WHERE kind = 'correction' ORDER BY 2"
        )
    with_more = [more if call is CALLS[1] else call for call in CALLS]
    difference = sum(expected(with_more, rates_text()).values()) - sum(again.values())
    assert Fraction(whole.billed) == difference
    assert sum((each.billed for each in made), Decimal(0)) == whole.billed == exported.billed
    assert check(tmp_path / "focus.csv") == []
    assert [row[0] for row in found] == ["2026-11", "2026-11"]
    assert found[0][1:] == (CALLS[1].at.replace(tzinfo=None), 5000 - 1002)


def test_a_correction_is_closed_with_the_month_it_is_in_and_not_told_again(november, tmp_path):
    closed_november(november, tmp_path)
    rates = table(rates_text())
    append(november, [charge(CALLS[-1], rates)])
    later = datetime(2027, 1, 10, tzinfo=UTC)
    pass_time(november, later)
    with books_at(november, tmp_path, now=later, rates=rates, span=DECEMBER_SPAN) as books:
        ready = draft(books, november, "2026-12", [], now=later)
        manifest = close(books, november, ready, [], now=later, writer="test")

    assert (manifest.calls, manifest.corrections) == (0, 1)
    with books_at(november, tmp_path, now=later, rates=rates) as books:
        assert billed(books, EVER) == expected(CALLS, rates_text())
        assert books.db.rows("SELECT count(*) FROM due") == [(0,)]


def test_a_rating_run_prices_the_span_again_and_reports_use_it(november, tmp_path):
    new = table(rates_text(cheaper=True))
    span = Span(MARKED_UP, NOVEMBER.end)
    with books_at(november, tmp_path, rates=new) as books:
        done = apply(books, november, new, span, now=CLOSED_AT)

    before, after = CALLS[:-1], [call for call in CALLS[:-1] if call.at >= MARKED_UP]
    assert (done.calls, done.changed) == (len(after), sum(call.deployment == "chat-mini" for call in after))
    early = [call for call in before if call.at < MARKED_UP]
    wanted = {
        who: expected(early, rates_text()).get(who, 0) + expected(after, rates_text(cheaper=True)).get(who, 0)
        for who in ("CC-1", "CC-2", UNALLOCATED)
    }
    with books_at(november, tmp_path, rates=new) as books:
        assert billed(books, NOVEMBER) == wanted
        assert {row[0] for row in books.db.rows("SELECT run FROM entries WHERE run IS NOT NULL")} == {
            done.run
        }


def test_the_changes_of_a_run_go_out_under_the_ids_of_the_charges(november, tmp_path):
    new = table(rates_text(cheaper=True))
    with books_at(november, tmp_path, rates=new) as books:
        done = apply(books, november, new, Span(MARKED_UP, NOVEMBER.end), now=CLOSED_AT)

    rows = [row for _, row in november.journal(done.journal).read() if isinstance(row, Rerated)]
    events = [event for row in rows if (event := custom_event(row))]
    assert len(events) == done.changed > 0
    assert {event.name for event in events} == {"Chargeback Adjustment"}
    changed = {row.charge.charge_id for row in rows if row.changed}
    assert {event.properties["TokenInfoId"] for event in events} == changed
    assert all("Azure OpenAI Tokens" not in event.name for event in events)


def test_a_run_that_stopped_half_way_is_nobodys(november, tmp_path):
    new = table(rates_text(cheaper=True))
    with books_at(november, tmp_path, rates=new) as books:
        done = apply(books, november, new, Span(MARKED_UP, NOVEMBER.end), now=CLOSED_AT)
    segments = list((tmp_path / "ledger" / "journal" / "kind=run").rglob("*.ndjson"))
    lines = b"".join(file.read_bytes() for file in segments).splitlines(keepends=True)
    end = next(place for place, line in enumerate(lines) if line.startswith(b'{"row":"run"'))
    segments[-1].write_bytes(b"".join(lines[:end]))
    fresh = ledger_at(tmp_path, now=CLOSED_AT)

    with books_at(fresh, tmp_path / "other", rates=new) as books:
        assert done.changed
        assert billed(books, NOVEMBER) == expected(CALLS[:-1], rates_text())


def test_a_closed_month_cannot_be_rated_again(november, tmp_path):
    closed_november(november, tmp_path)
    rates = table(rates_text(cheaper=True))

    with (
        books_at(november, tmp_path, rates=rates) as books,
        pytest.raises(UsageError, match="is closed; start there"),
    ):
        apply(books, november, rates, NOVEMBER, now=CLOSED_AT)


# ---- what stands in the way of a close


def obstacles_of(ledger, folder, now=CLOSED_AT, waivers=()):
    with books_at(ledger, folder, now=now, rates=table(rates_text()), span=NOVEMBER) as books:
        return [(each.kind, each.id) for each in draft(books, ledger, "2026-11", waivers, now=now).open]


def test_a_month_waits_for_the_watermark_of_every_partition(november, tmp_path):
    other = STREAM[:-1] + "1"
    append(november, [charge(CALLS[-1], table(rates_text()), number=77)], journal=other)

    assert obstacles_of(november, tmp_path) == [("watermark", f"journal:{other}")]
    pass_time(november, datetime(2026, 12, 4, tzinfo=UTC), journal=other)
    assert obstacles_of(november, tmp_path) == []


def test_a_month_waits_for_its_grace(november, tmp_path):
    assert obstacles_of(november, tmp_path, now=datetime(2026, 12, 2, tzinfo=UTC)) == [
        ("grace", "grace:2026-11")
    ]


def test_gaps_conflicts_unpriced_calls_and_dead_letters_block(november, tmp_path):
    from chargeback.journal.rows import Gap, Reject

    rates = table(rates_text())
    unpriced = msgspec.structs.replace(
        charge(CALLS[-1], rates), rating="unpriced", rating_reason="no_rate", total_cost=None, lines=()
    )
    rival = msgspec.structs.replace(charge(CALLS[0], rates, number=800), prompt_tokens=3)
    letter = "contoso/usage/1/0/900"
    november.dead_letters.put(letter, b"bytes", {"reason": "not_json"})
    reject = Reject(row_id="r", reason="not_json", message="m", dead_letter=letter, enqueued_at=CALLS[0].at)
    append(november, [unpriced, rival, reject, Gap(first=5, last=7)])
    pass_time(november, datetime(2026, 12, 4, 1, tzinfo=UTC))

    found = obstacles_of(november, tmp_path)
    assert found == [
        ("gap", "gap:contoso.servicebus.windows.net/usage/1/0 5 to 7"),
        ("conflict", rival.charge_id),
        ("unpriced", unpriced.charge_id),
        ("dead letter", f"dead:{letter}"),
    ]
    waivers = [Waiver(id=name, who="Ada", why="agreed with finance") for _, name in found]
    manifest = closed_november(november, tmp_path, waivers)
    assert [each.id for each in manifest.waivers] == [name for _, name in found]
    with books_at(november, tmp_path, rates=rates, span=NOVEMBER) as books:
        waived = books.db.rows(
            "SELECT charge_id, cost_centre, waiver FROM entries WHERE waiver IS NOT NULL ORDER BY 1"
        )
        write(tmp_path / "out", books, "2026-11", NOVEMBER)
    assert waived == sorted(
        (each, UNALLOCATED, "Ada: agreed with finance") for each in (rival.charge_id, unpriced.charge_id)
    )
    assert "Ada: agreed with finance" in (tmp_path / "out" / "2026-11-UNALLOCATED.csv").read_text()


@pytest.mark.parametrize(
    ("period", "message"),
    [
        ("2026-12", "is not over"),
        ("2026-10", "holds no calls of this month"),
        ("2026-13", "expected a calendar month"),
    ],
)
def test_a_month_that_cannot_be_closed_is_refused_in_one_line(november, tmp_path, period, message):
    with (
        books_at(november, tmp_path, now=CLOSED_AT, rates=table(rates_text())) as books,
        pytest.raises(UsageError, match=message),
    ):
        draft(books, november, period, [], now=CLOSED_AT)


def test_a_month_is_closed_once(november, tmp_path):
    closed_november(november, tmp_path)

    with (
        books_at(november, tmp_path, now=CLOSED_AT, rates=table(rates_text())) as books,
        pytest.raises(UsageError, match="is closed already"),
    ):
        draft(books, november, "2026-11", [], now=CLOSED_AT)


def test_a_closed_file_that_was_changed_is_found_out(november, tmp_path):
    manifest = closed_november(november, tmp_path)
    file = tmp_path / "ledger" / manifest.files[0].path
    file.write_bytes(file.read_bytes()[:-1] + b"x")

    with pytest.raises(Exception, match="not the file that was closed"), books_at(november, tmp_path / "new"):
        pass
