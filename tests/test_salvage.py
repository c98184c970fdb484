"""JSON that ends too early: what was whole stays, what stood open is known to be open."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.errors import RejectError
from chargeback.salvage import decode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_whole_json_is_read_as_any_other_reader_reads_it(value):
    decoded = decode(json.dumps(value, ensure_ascii=False).encode())

    assert decoded.value == value
    assert not decoded.cut


@given(st.dictionaries(st.text(max_size=6), JSON, min_size=1, max_size=5), st.data())
def test_a_cut_at_any_byte_keeps_only_what_was_written(value, data):
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode()
    at = data.draw(st.integers(1, len(text) - 1))

    decoded = decode(text[:at])

    assert decoded.cut
    for name, member in decoded.value.items():
        if decoded.is_whole(name):
            assert member == value[name]


@pytest.mark.parametrize(
    ("text", "value", "open_path"),
    [
        pytest.param(b'{"n": 15', {"n": 15}, ("n",), id="a number may go on behind the cut"),
        pytest.param(b'{"n": 15,', {"n": 15}, (), id="a comma ends it"),
        pytest.param(b'{"n": "15', {"n": "15"}, ("n",), id="text that is not closed"),
        pytest.param(b'{"u": {"a": 1}', {"u": {"a": 1}}, (), id="an object that was closed"),
        pytest.param(b'{"u": {"a": 1', {"u": {"a": 1}}, ("u", "a"), id="an object that was not"),
        pytest.param(b'{"u": {"a": 1}, "v', {"u": {"a": 1}}, (), id="inside a name"),
        pytest.param(b'["a", "b', ["a", "b"], (1,), id="inside an array"),
        pytest.param(b'{"t": "caf\xc3', {"t": "caf"}, ("t",), id="inside a character"),
        pytest.param(rb'{"t": "caf\u00e', {"t": "caf"}, ("t",), id="inside an escape"),
        pytest.param(rb'{"t": "x\ud83d', {"t": "x"}, ("t",), id="between the halves of a surrogate pair"),
        pytest.param(b'{"t": "x\\', {"t": "x"}, ("t",), id="after a backslash"),
    ],
)
def test_the_place_of_the_cut_is_known(text, value, open_path):
    decoded = decode(text)

    assert (decoded.value, decoded.open_path, decoded.cut) == (value, open_path, True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "empty"),
        (b"  \r\n", "empty"),
        (b"<html>", "not_json"),
        (b'{"a": 1} and more', "not_json"),
        (b'{"a": nope}', "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b"\x00\x01", "not_json"),
        (b"[" * 5000, "not_json"),
    ],
)
def test_what_is_no_beginning_of_json_is_rejected_with_its_reason(text, reason):
    with pytest.raises(RejectError) as caught:
        decode(text)

    assert caught.value.reason == reason


def test_half_a_surrogate_pair_and_bad_utf8_cost_a_character_not_the_event():
    assert decode(rb'{"t": "a\ud800b \\ud800 \ud83d\ude00"}').value == {"t": "a\ufffdb \\ud800 \U0001f600"}
    assert decode(b'{"t": "\xff"}').value == {"t": "\ufffd"}


def test_a_byte_order_mark_is_no_content():
    assert decode(b'\xef\xbb\xbf{"a": 1}').value == {"a": 1}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected_with_a_known_reason(data):
    with contextlib.suppress(RejectError):
        decode(data)


def test_a_message_never_repeats_the_text():
    with pytest.raises(RejectError) as caught:
        decode(b'{"prompt": "canary-7431" "canary-7432"}')

    assert "canary" not in str(caught.value)
