"""Single values of strangers: unknown is never 0, never 1 and never an identity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.formats.fields import Fields
from chargeback.salvage import Decoded
from chargeback.strangers import as_count, as_id


@pytest.mark.parametrize("value", [15000, "15000", " 15000 ", 15000.0, "15000.0"])
def test_a_count_is_read_in_any_clothing(value):
    assert as_count(value) == 15000


@pytest.mark.parametrize(
    "value",
    [
        "null",
        "",
        "NA",
        "N/A",
        None,
        -1,
        "-1",
        1.5,
        "1.5",
        True,
        False,
        "12k",
        float("inf"),
        10**30,
        "٣",
        [],
        {},
    ],
)
def test_what_is_no_count_is_unknown(value):
    assert as_count(value) is None


@pytest.mark.parametrize(
    "value", ["", "NA", "na", "NA-HEADER", "null", "Unknown", "N/A", " ", None, [], {}, True, 1.5]
)
def test_a_word_for_missing_is_no_id(value):
    assert as_id(value) is None


def test_an_id_is_kept_as_written_without_blanks_around_it():
    assert as_id(" Team-Finance ") == "Team-Finance"
    assert as_id(42) == "42"


@given(st.sampled_from(["AppKey", "appkey", "APPKEY", "aPpKeY"]))
def test_names_are_read_without_case(name):
    assert Fields(Decoded({name: "k"})).text("appkey") == "k"


def test_a_member_the_cut_is_in_is_no_fact():
    fields = Fields(Decoded({"id": "7", "total": 1}, open_path=("total",), cut=True))

    assert fields.text("id") == "7"
    assert fields.count("total") is None
    assert fields.raw("total") == 1
