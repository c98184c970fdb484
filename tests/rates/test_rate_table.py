"""The compiled table: what it is called, what it restores, and what held at which moment."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chargeback.errors import StopError
from chargeback.facts import Facts
from chargeback.rates.load import parse
from chargeback.rates.table import Assignment, parse_canonical
from chargeback.rates.timeline import Timeline, uncovered
from tests.rates.tables import BASE, TABLE, changed

MAY = datetime(2026, 5, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def test_the_version_begins_with_the_tables_name_and_ends_with_its_digest():
    name, digits = TABLE.version.split("+")

    assert name == "test"
    assert TABLE.sha256.startswith(digits)
    assert len(digits) == 16
    assert TABLE.currency == "USD"


def test_comments_blanks_and_the_order_of_keys_leave_the_version_as_it_is():
    tree = yaml.load(BASE, Loader=yaml.BaseLoader)
    shuffled = yaml.dump(_shuffled(tree, random.Random(7)), default_style='"', sort_keys=False)
    text = shuffled.replace('"null"', "null").replace('"true"', "true").replace('"272000"', "272000")

    assert text != BASE
    assert parse(f"# a comment\n{text}", source="x").version == TABLE.version


def _shuffled(tree, dice):
    if isinstance(tree, dict):
        keys = sorted(tree)
        dice.shuffle(keys)
        return {key: _shuffled(tree[key], dice) for key in keys}
    return [_shuffled(each, dice) for each in tree] if isinstance(tree, list) else tree


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"2.75"', '"2.76"'),
        ("{id: CC3}", "{id: CC3, name: Third}"),
        ("table_id: test", "table_id: test2"),
        ("cost_centre: CC1, to: 2026-04-01", "cost_centre: CC1, to: 2026-03-31"),
        ("currency: USD", "currency: EUR"),
        ("\nsubscriptions:", "\npolicy: {cache_split_unknown: unpriced}\nsubscriptions:"),
    ],
)
def test_whatever_could_change_a_bill_changes_the_version(old, new):
    assert parse(changed(old, new), source="x").sha256 != TABLE.sha256


def test_what_is_written_as_the_default_is_the_same_table():
    explicit = changed(
        "currency: USD", "currency: USD\nprice_basis: list\npolicy: {unallocated: UNALLOCATED}"
    )

    assert parse(explicit, source="x").version == TABLE.version


def test_a_stored_table_is_restored_exactly():
    restored = parse_canonical(TABLE.canonical)

    assert restored.version == TABLE.version
    assert restored.canonical == TABLE.canonical
    assert restored.rows == TABLE.rows
    assert b'"price":"0.60"' in TABLE.canonical
    assert b'"effective_from":"2026-03-01T12:00:00Z"' in TABLE.canonical


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"table_id": 1}',
        b"\xff",
        TABLE.canonical[:-1],
        TABLE.canonical.replace(b'"price"', b'"prize"'),
    ],
)
def test_a_damaged_stored_table_stops_with_the_remedy(data):
    with pytest.raises(StopError, match="Restore the file from a backup"):
        parse_canonical(data)


KEY = ("gpt-4o-mini@2024-07-18", "GlobalStandard", "westeurope", "default", "*")
CHANGE = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "price"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC) - TICK, None),
        (datetime(2026, 1, 1, tzinfo=UTC), Decimal("0.15")),
        (CHANGE - TICK, Decimal("0.15")),
        (CHANGE, Decimal("0.00012")),
        (CHANGE + TICK, Decimal("0.00012")),
        (datetime.max.replace(tzinfo=UTC), Decimal("0.00012")),
    ],
)
def test_a_price_holds_from_its_first_instant_to_before_its_end(at, price):
    row = TABLE.rate(KEY, at)

    assert (None if row is None else row.prices["input_text"].price) == price


def test_an_instant_in_another_zone_is_the_same_instant():
    from datetime import timezone

    abroad = (CHANGE - TICK).astimezone(timezone(timedelta(hours=14)))

    assert TABLE.rate(KEY, abroad) is TABLE.rate(KEY, CHANGE - TICK)


def test_a_rate_that_names_the_region_goes_before_one_for_all():
    """A stored table may have both, and a list that starts to differ by region names them from then on."""
    named = """- model: embed@1
  deployment_type: GlobalStandard
  region: [eastus]
  effective_from: 2026-01-01
  effective_to: 2026-02-01
  meters: {input_text: {price: "0.02", per: 1M tokens}}
deployments:
"""
    stored = parse(changed("deployments:\n", named), source="x").canonical
    head, tail = stored.rsplit(b'"price":"0.02"', 1)
    table = parse_canonical(head + b'"price":"0.03"' + tail)

    def price(region, month):
        row = table.rate(
            ("embed@1", "GlobalStandard", region, "default", "*"), datetime(2026, month, 1, tzinfo=UTC)
        )
        return None if row is None else row.prices["input_text"].price

    assert price("eastus", 1) == Decimal("0.03")
    assert price("westeurope", 1) == Decimal("0.02")
    assert price("eastus", 2) == Decimal("0.02")


def test_rate_ids_are_unique_in_the_table():
    rows = [value for timeline in TABLE._rates.values() for _, _, value in timeline]
    ids = {price.rate_id: id(row) for row in rows for price in row.prices.values()}

    assert len(ids) == sum(len(rate.meters) for rate in TABLE.rows.rates)
    assert "gpt-4o-mini@2024-07-18|GlobalStandard|*|default|*|2026-03-01T12:00:00Z|output_text" in ids
    assert (
        "gpt-4o@2024-11-20|DataZoneStandard|westeurope,swedencentral|default|*|2026-01-01|input_text" in ids
    )


A, E = "aaaa0000aaaa0000aaaa0000aaaa0000", "eeee0000eeee0000eeee0000eeee0000"
JANUARY = datetime(2026, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("facts", "at", "expected"),
    [
        (Facts(subscription_id="sub-a"), JANUARY, Assignment("sub-a", "Sales portal", "CC1")),
        (Facts(subscription_id="sub-a"), MAY, Assignment("sub-a", "Sales portal", "CC2")),
        (
            Facts(subscription_id="sub-a", subscription_name="By event"),
            MAY,
            Assignment("sub-a", "By event", "CC2"),
        ),
        (Facts(subscription_key_id=A), JANUARY, Assignment("sub-a", "Sales portal", "CC1")),
        (Facts(subscription_key_id=E), JANUARY, Assignment("sub-a", "Sales portal", "CC1")),
        (Facts(subscription_key_id=E), MAY, Assignment("sub-b", None, "UNALLOCATED")),
        (Facts(subscription_key_id="f" * 32), MAY, Assignment("key-" + "f" * 32, None, "UNALLOCATED")),
        (
            Facts(subscription_id="sub-b", subscription_key_id=A),
            MAY,
            Assignment("sub-b", None, "UNALLOCATED"),
        ),
        (Facts(subscription_id="sub-a", app_id="robot"), MAY, Assignment("sub-a", "Sales portal", "CC3")),
        (Facts(subscription_id="sub-a", product="gold"), MAY, Assignment("sub-a", "Sales portal", "CC2")),
        (
            Facts(subscription_id="sub-b", app_id="robot", product="gold"),
            MAY,
            Assignment("sub-b", None, "CC2"),
        ),
        (
            Facts(subscription_id="sub-b", app_id="other", product="gold"),
            MAY,
            Assignment("sub-b", None, "CC1"),
        ),
        (Facts(app_id="robot"), MAY, Assignment(None, None, "CC2")),
        (Facts(subscription_name="By event"), MAY, Assignment(None, "By event", "UNALLOCATED")),
        (Facts(), MAY, Assignment(None, None, "UNALLOCATED")),
    ],
)
def test_who_pays(facts, at, expected):
    assert TABLE.assign(facts, at) == expected


def test_a_key_and_an_assignment_change_hands_at_the_instant():
    february, april = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)

    assert TABLE.assign(Facts(subscription_key_id=E), february - TICK).subscription_id == "sub-a"
    assert TABLE.assign(Facts(subscription_key_id=E), february).subscription_id == "sub-b"
    assert TABLE.assign(Facts(subscription_id="sub-a"), april - TICK).cost_centre == "CC1"
    assert TABLE.assign(Facts(subscription_id="sub-a"), april).cost_centre == "CC2"


def test_what_nobody_was_assigned_goes_to_the_policys_centre():
    table = parse(changed("\nsubscriptions:", "\npolicy: {unallocated: CC3}\nsubscriptions:"), source="x")

    assert table.assign(Facts(subscription_id="sub-b"), MAY).cost_centre == "CC3"


DAYS = st.integers(0, 40)


@settings(deadline=None)
@given(st.lists(st.tuples(DAYS, st.none() | DAYS)), DAYS, st.none() | DAYS)
def test_uncovered_finds_the_first_day_no_span_holds(spans, start, end):
    days = range(start, 60 if end is None else end)
    held = {day for begin, until in spans for day in range(begin, 60 if until is None else until)}
    first = next((day for day in days if day not in held), None)
    if end is None and first is None and not any(until is None for _, until in spans):
        first = 60

    if end is None or start < end:
        assert uncovered([(_day(a), _day(b)) for a, b in spans], _day(start), _day(end)) == _day(first)


@settings(deadline=None)
@given(st.lists(DAYS, unique=True, min_size=1), DAYS)
def test_a_timeline_answers_as_a_search_over_all_its_spans(bounds, day):
    edges = sorted(bounds)
    spans = [(_day(a), _day(b), a) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    found = [value for start, end, value in spans if start <= _day(day) < end]

    assert Timeline(spans).at(_day(day)) == (found[0] if found else None)


def _day(number):
    return None if number is None else datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)


@settings(deadline=None)
@given(st.text())
def test_no_text_makes_the_loader_fail_otherwise(text):
    with pytest.raises(StopError):
        parse(text, source="x")


@settings(deadline=None)
@given(st.integers(0, len(BASE)), st.text(max_size=3), st.integers(0, 5))
def test_no_damage_to_a_table_makes_the_loader_fail_otherwise(at, text, cut):
    try:
        parse(BASE[:at] + text + BASE[at + cut :], source="x")
    except StopError as error:
        assert str(error)  # noqa: PT017 - either a table or this error
