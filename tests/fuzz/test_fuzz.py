"""Whatever bytes arrive, the answer is a row, a reject or one of our own errors, in bounded time and memory."""

import base64
import json
import tracemalloc
from functools import partial

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chargeback import sse
from chargeback.charge import Charge
from chargeback.errors import ChargebackError
from chargeback.exchange import JoinState, decode, encode
from chargeback.journal import framing
from chargeback.journal.rows import Commit, Ignored, Reject
from chargeback.journal.rows import encode as encode_row
from chargeback.pipeline import process
from chargeback.rates.load import parse
from tests.contract.memory import MemorySegments
from tests.support import oracle
from tests.support.charges import CONTEXT
from tests.support.events import NOON, events_of
from tests.support.render import render
from tests.support.strategies import calls, formats

MIB = 1024 * 1024
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


def outcome_of(*bodies):
    return process(events_of(bodies), JoinState(), CONTEXT)


def rows_of(*bodies):
    return [row for entry in outcome_of(*bodies).entries for row in entry.rows]


def peak_of(work):
    """Bytes of Python objects at the highest point of a piece of work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ---- events


@given(st.binary(max_size=400))
def test_any_bytes_become_one_reject_or_rows(body):
    [entry] = outcome_of(body).entries

    assert all(row.row_id for row in entry.rows)


@given(st.data(), formats())
def test_an_event_with_one_member_replaced_by_anything_is_a_row(data, form):
    body = data.draw(st.sampled_from(render(data.draw(calls(form)), form)))
    try:
        event = json.loads(body)
    except ValueError:
        return
    if isinstance(event, dict) and event:
        event[data.draw(st.sampled_from(sorted(event)))] = data.draw(JSON)

    assert len(outcome_of(json.dumps(event).encode()).entries) == 1


@given(st.data(), formats())
def test_an_event_with_bytes_flipped_or_lost_is_a_row(data, form):
    body = bytearray(data.draw(st.sampled_from(render(data.draw(calls(form)), form))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=2))
        if not body:
            break

    assert len(outcome_of(bytes(body)).entries) == 1


DEEP = 100_000
HUGE = "9" * 5000


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b'{"a":' * DEEP,
        b'{"v":1,"kind":"usage","usage":' + b"[" * DEEP + b"]" * DEEP + b"}",
        json.dumps({"apiOperation": "ChatCompletion", "eventTime": "x", "request": "[" * DEEP, "response": "{" * DEEP}).encode(),
        json.dumps({"EventTime": "x", "AppSubscriptionKey": "k", "Request": '{"a":' * DEEP, "Response": '{"a":' * DEEP}).encode(),
        json.dumps({"v": 1, "kind": "part", "request_id": "r", "bodies": ["request"], "body": "request", "part": 0, "parts": 10**18, "data": ""}).encode(),
    ],
    ids=["arrays", "objects", "usage", "bodies of F1", "bodies of F2", "a part of very many"],
)  # fmt: skip
def test_deep_nesting_and_endless_parts_are_refused_or_survived(body):
    assert len(outcome_of(body).entries) == 1


@pytest.mark.parametrize("number", [HUGE, "1e400", "-1e400", "1e999999999", "NaN", "Infinity", "-" + HUGE])
def test_a_number_nobody_can_count_is_unknown_and_never_money(number):
    body = (
        '{"v":1,"kind":"usage","request_id":"r-1","time":"2026-11-18T12:00:00Z","subscription_id":"sub-shop",'
        '"account":"aoai-weu-1","deployment":"chat","model":"gpt-4o-2024-11-20","status":200,'
        f'"operation":"ChatCompletions_Create","usage":{{"prompt_tokens":{number},"completion_tokens":1,"total_tokens":2}}}}'
    )

    [row] = rows_of(body.encode())
    assert isinstance(row, Reject) or (isinstance(row, Charge) and not row.total_cost)


def test_a_bomb_as_large_as_the_gateway_lets_through_takes_bounded_memory():
    """API Management cuts at 200 KB. The worst is an array of nothing: every ``{}`` in it is a reject of its own."""
    text = "a very long answer " * 10_000
    bombs = [
        json.dumps({"apiOperation": "ChatCompletion", "eventTime": "x", "request": "[" * 190_000, "response": ""}),
        json.dumps({"eventTime": "x", "apiOperation": "ChatCompletion", "request": "{}", "response": "data: {}\n\n" * 15_000}),
        json.dumps({"v": 1, "kind": "part", "request_id": "r", "bodies": ["response"], "body": "response", "part": 0,
                    "parts": 1, "data": base64.b64encode(text[:140_000].encode()).decode()}),
        "[" + "{}," * 15_000 + "{}]",
        json.dumps({"records": [{}] * 45_000}),
    ]  # fmt: skip
    assert max(peak_of(partial(outcome_of, bomb.encode())) for bomb in bombs) < 48 * MIB


# ---- bodies of streams


@given(
    st.text(alphabet=st.sampled_from('data: \n\r{}[]DONE\ufeffeventid01\\"'), max_size=300),
    st.integers(0, 300),
)
def test_any_text_is_a_stream_of_events_wherever_it_is_cut(text, at):
    whole, beginning = list(sse.events(text)), list(sse.events(text[:at]))

    assert all(isinstance(each.data, str) for each in whole)
    assert len(beginning) <= len(whole) + 1


# ---- rate tables

TABLE = oracle.SAMPLE_RATES.read_text(encoding="utf-8")


@settings(max_examples=25)
@given(st.data())
def test_a_rate_table_with_lines_lost_or_changed_is_good_or_refused(data):
    lines = TABLE.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = data.draw(st.sampled_from(["", lines[at] + " x", lines[at].replace(":", "", 1), "- {", "  " + lines[at], "a: *b"]) | st.text(max_size=20))  # fmt: skip

    parsed_or_refused("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 20_000,
        "- " * 20_000,
        "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)),
        "a: &a\n  b: *a\n",
        "!!python/object/apply:os.system ['true']",
        TABLE.replace("price: ", "price: 1e999999", 1),
        TABLE.replace("price: ", f"price: {HUGE[:500]}", 1),
        "\x00\ufffe",
    ],
    ids=["empty", "deep flow", "deep block", "laughs", "a loop", "a call", "an exponent", "a long price", "no text"],
)  # fmt: skip
def test_a_hostile_rate_table_is_refused_in_bounded_memory(text):
    assert peak_of(lambda: parsed_or_refused(text)) < 64 * MIB


def parsed_or_refused(text):
    try:
        parse(text, source="fuzzed.yaml")
    except ChargebackError as error:
        assert str(error)  # noqa: PT017  either is right


# ---- journals


def journal_of(count):
    rows = [Ignored(row_id=f"s/{number}/0", reason="metric") for number in range(count)]
    data = b""
    for number, row in enumerate(rows):
        commit = Commit(
            writer="w",
            batch_id=f"b{number}",
            first_seq=number,
            last_seq=number,
            last_enqueued_time=NOON,
            rows=1,
        )
        data += encode_row(row) + encode_row(commit)
    return data


SOUND = journal_of(6)


@given(st.data())
@example(None)
def test_a_journal_with_bytes_changed_is_read_up_to_a_point_or_stops_with_a_remedy(data):
    raw = bytearray(SOUND)
    if data is not None:
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(raw) - 1))
            raw[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=10))
    segments = MemorySegments()
    segments.blobs["one"] = (bytes(raw), 1)
    try:
        tail = framing.tail(segments, "one", len(raw))
        rows = list(framing.rows(segments, "one", 0, len(raw)))
    except ChargebackError as error:
        assert "restore" in str(error).lower()  # noqa: PT017  either is right
    else:
        assert len(rows) <= 6
        assert tail.committed <= len(raw)


def test_a_journal_of_one_endless_line_is_read_in_bounded_memory():
    segments = MemorySegments()
    segments.blobs["one"] = (SOUND + b"x" * (24 * MIB), 1)

    def read():
        return list(framing.rows(segments, "one", 0, len(segments.blobs["one"][0])))

    assert len(read()) == 6


# ---- pending states


@given(st.data())
def test_a_pending_state_that_was_damaged_is_our_own_error(data):
    from chargeback.stream_worker import restored

    bodies = render(data.draw(calls("v1-parts")), "v1-parts")
    raw = bytearray(encode(outcome_of(*bodies[:1]).state))
    assert decode(bytes(raw)) is not None
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    try:
        state = restored("stream/ns/hub/1/0", bytes(raw))
    except ChargebackError as error:
        assert "pending" in str(error)  # noqa: PT017  either is right
    else:
        assert msgspec.structs.asdict(state) is not None
