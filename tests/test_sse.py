"""Server-sent events as the standard reads them, and two differences on purpose."""

import pytest
import sseclient
from hypothesis import given
from hypothesis import strategies as st

from chargeback.sse import events, looks_like_stream

LINES = st.lists(
    st.sampled_from(
        [
            "data: {}",
            "data:x",
            "data: y: z",
            "data",
            "event: response.created",
            ": a comment",
            "id: 7",
            "retry: 5",
            "",
            "",
        ]
    )
    | st.text(alphabet="ab: \u2028\u00e9", max_size=6),
    max_size=12,
)


@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]))
def test_it_agrees_with_a_well_known_client(lines, end):
    text = end.join([*lines, "", ""])

    known = [event.data for event in sseclient.SSEClient(iter([text.encode()])).events()]

    assert [event.data for event in events(text)] == known


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_several_data_lines_are_one_event(end):
    text = end.join(["event: e", "data: 1", "data: 2", ": c", "", "data: 3", "", ""])

    assert [(event.name, event.data) for event in events(text)] == [("e", "1\n2"), ("", "3")]


def test_a_byte_order_mark_does_not_cost_the_first_event():
    assert [event.data for event in events("\ufeffdata: 1\n\n")] == ["1"]


def test_a_last_event_without_its_blank_line_is_delivered_and_marked():
    [first, last] = events("data: 1\n\ndata: 2")

    assert (first.closed, last.data, last.closed) == (True, "2", False)


@pytest.mark.parametrize(
    ("text", "is_stream"),
    [
        ("data: {}", True),
        ("event: x\ndata: 1", True),
        (": hi\n\n", True),
        ('{"data": 1}', False),
        ("", False),
        ("<html>", False),
    ],
)
def test_a_stream_is_told_by_its_first_line(text, is_stream):
    assert looks_like_stream(text) is is_stream
