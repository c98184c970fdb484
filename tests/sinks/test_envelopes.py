"""What goes on the wire for an event, whichever package builds the envelope."""

import importlib.util
import json
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback import __version__
from chargeback.errors import RejectError, StopError
from chargeback.sinks.envelopes import Origin, encode, opencensus_builder, with_applicationinsights
from chargeback.telemetry import KEY_LIMIT, NAME_LIMIT, VALUE_LIMIT, CustomEvent

KEY = "00000000-0000-0000-0000-000000000001"
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ORIGIN = Origin(instrumentation_key=KEY, role="azure-openai-chargeback", role_instance="instance-0")

HAS_OPENCENSUS = importlib.util.find_spec("opencensus") is not None
needs_opencensus = pytest.mark.skipif(
    not HAS_OPENCENSUS,
    reason="the extra 'opencensus' is not installed (retired upstream; Python 3.11 and 3.12 only)",
)


def event(**changes):
    fields = {
        "name": "Azure OpenAI Tokens",
        "event_id": "id-1",
        "occurred_at": NOW,
        "properties": {"TokenInfoId": "id-1", "Cost": "0.0123"},
        "measurements": {"TotalTokens": 12, "TotalCost": 0.0123},
    }
    return CustomEvent(**{**fields, **changes})


def encoded(one, *, origin=ORIGIN, builder=with_applicationinsights):
    return encode(one, now=NOW, origin=origin, builder=builder)


def test_an_event_looks_like_this_on_the_wire():
    assert encoded(event()) == (
        b'{"ver":1,"name":"Microsoft.ApplicationInsights.Event","time":"2026-11-20T10:00:00.000000Z",'
        b'"sampleRate":100.0,"iKey":"00000000-0000-0000-0000-000000000001",'
        b'"tags":{"ai.cloud.role":"azure-openai-chargeback","ai.cloud.roleInstance":"instance-0",'
        b'"ai.internal.sdkVersion":"py-chargeback:' + __version__.encode() + b'"},'
        b'"data":{"baseType":"EventData","baseData":{"ver":2,"name":"Azure OpenAI Tokens",'
        b'"properties":{"Cost":"0.0123","TokenInfoId":"id-1"},'
        b'"measurements":{"TotalCost":0.0123,"TotalTokens":12}}}}'
    )


def test_the_order_in_which_an_event_was_put_together_does_not_show():
    turned = event(
        properties={"Cost": "0.0123", "TokenInfoId": "id-1"},
        measurements={"TotalCost": 0.0123, "TotalTokens": 12},
    )

    assert encoded(turned) == encoded(event())


def test_without_a_role_instance_two_instances_send_the_same_bytes():
    assert b"roleInstance" not in encoded(event(), origin=Origin(instrumentation_key=KEY, role="r"))


def test_properties_are_texts_whatever_slips_in():
    odd = event(properties={"Null": None, "Yes": True, "Count": 7, "Text": "x"}, measurements={})

    data = json.loads(encoded(odd))["data"]["baseData"]

    assert data["properties"] == {"Count": "7", "Null": "", "Text": "x", "Yes": "true"}
    assert data["measurements"] == {}


@pytest.mark.parametrize(
    ("age", "clamped"),
    [
        (timedelta(hours=46, minutes=59), False),
        (timedelta(hours=47), True),
        (timedelta(days=90), True),
        (timedelta(minutes=-59), False),
        (timedelta(hours=-1), True),
        (timedelta(days=-400), True),
    ],
)
def test_time_stays_within_what_the_service_takes_with_an_hour_to_spare(age, clamped):
    envelope = json.loads(encoded(event(occurred_at=NOW - age)))

    assert (datetime.fromisoformat(envelope["time"]) == NOW - age) is not clamped
    assert (datetime.fromisoformat(envelope["time"]) == NOW) is clamped
    assert (envelope["data"]["baseData"]["properties"].get("TimeClamped") == "true") is clamped


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "the event's name is empty"),
        ({"name": "n" * 513}, "the event's name has 513 characters, the limit is 512"),
        (
            {"properties": {"k" * 151: "v"}},
            "the name of property 'k{40}' has 151 characters, the limit is 150",
        ),
        ({"properties": {"": "v"}}, "the name of property '' is empty"),
        (
            {"properties": {"Lines": "Hütte" * 1639}},
            "property 'Lines' has 8195 characters, the limit is 8192",
        ),
        ({"properties": {"Lines": "🜍" * 4097}}, "property 'Lines' has 8194 characters, the limit is 8192"),
        ({"properties": {"Lines": "Hütte\ud83d"}}, "property 'Lines' holds half a surrogate pair"),
        ({"measurements": {"k" * 151: 1}}, "the name of measurement 'k{40}' has 151 characters"),
        ({"measurements": {"Cost": float("nan")}}, "measurement 'Cost' is not finite"),
        ({"measurements": {"Cost": float("inf")}}, "measurement 'Cost' is not finite"),
        (
            {"properties": {str(n): "x" * 8192 for n in range(8)}},
            r"66\d\d\d bytes as an envelope, the limit is 65536",
        ),
    ],
)
def test_what_the_service_would_cut_or_refuse_is_named_but_not_quoted(changes, message):
    with pytest.raises(RejectError, match=message) as caught:
        encoded(event(**changes))

    assert "tte" not in str(caught.value)


def test_the_limits_themselves_are_allowed():
    longest = event(
        name="n" * NAME_LIMIT,
        properties={"k" * KEY_LIMIT: "v" * VALUE_LIMIT},
        measurements={"m" * KEY_LIMIT: 1.5},
    )

    assert json.loads(encoded(longest))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NAMES = TEXTS.filter(bool)
EVENTS = st.builds(
    CustomEvent,
    name=NAMES,
    event_id=st.just("id-1"),
    occurred_at=st.datetimes(
        NOW.replace(tzinfo=None) - timedelta(days=100),
        NOW.replace(tzinfo=None) + timedelta(days=1),
        timezones=st.just(UTC),
    ),
    properties=st.dictionaries(NAMES, TEXTS, max_size=5),
    measurements=st.dictionaries(
        NAMES, st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 2**53), max_size=5
    ),
)


@given(EVENTS)
def test_nothing_is_changed_on_the_way(one):
    data = json.loads(encoded(one))["data"]["baseData"]

    assert data["name"] == one.name
    assert {key: value for key, value in data["properties"].items() if key != "TimeClamped"} == {
        key: value for key, value in one.properties.items() if key != "TimeClamped"
    }
    assert data["measurements"] == one.measurements


@needs_opencensus
# Until 3.12 the package made times with utcfromtimestamp, which 3.12 deprecates.
@pytest.mark.filterwarnings(r"ignore:datetime\.datetime\.utcfromtimestamp:DeprecationWarning")
class TestOpenCensus:
    def test_builds_the_same_envelope_byte_by_byte(self):
        build = opencensus_builder()

        @given(EVENTS)
        def same(one):
            assert encoded(one, builder=build) == encoded(one)

        same()

    def test_starts_no_thread_and_leaves_no_file(self, tmp_path, monkeypatch):
        import tempfile
        import threading

        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        threads = threading.active_count()

        encoded(event(), builder=opencensus_builder())

        assert threading.active_count() == threads
        assert list(tmp_path.iterdir()) == []


def test_without_the_extra_opencensus_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "opencensus.ext.azure.log_exporter", None)
    monkeypatch.setitem(sys.modules, "opencensus", None)

    with pytest.raises(StopError, match=r"extra 'opencensus'.*CHARGEBACK_TELEMETRY=applicationinsights"):
        opencensus_builder()


def test_the_package_s_own_classes_are_the_source():
    """Were they bypassed, the extra dependency would be for nothing."""
    raw = with_applicationinsights(event(), KEY)

    assert raw["data"]["baseData"]["name"] == "Azure OpenAI Tokens"
    assert msgspec.json.encode(raw).startswith(b'{"ver":1,"name":"Microsoft.ApplicationInsights.Event"')
