"""Confirmed delivery against an endpoint that behaves like the service on its bad days.

Time is fake except for read timeouts of a few hundredths of a second.
"""

import logging
import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargeback.errors import StopError
from chargeback.sinks import application_insights
from chargeback.sinks.application_insights import ApplicationInsights, retry_after_s
from chargeback.sinks.connection_string import (
    entra_credential,
    parse_connection_string,
    redirect_target,
)
from chargeback.sinks.verdicts import DECISIONS
from chargeback.telemetry import CustomEvent
from tests.support.ingestion import (
    KEY,
    SAMPLED_OUT,
    TOO_OLD,
    IngestionEndpoint,
    always,
    event_id,
    hang,
    receipt,
    redirect,
    refuses,
    reset,
    says,
    service,
    short,
    status,
    too_large,
)

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


class Patience:
    """A clock that only waiting moves."""

    def __init__(self):
        self.now = 0.0
        self.waits = []
        self.on_wait = lambda: None

    def monotonic(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        self.waits.append(seconds)
        self.on_wait()


class Credential:
    """Hands out token-1, token-2 ...; or fails."""

    def __init__(self, *, lifetime=timedelta(hours=1), error=None):
        self.issued = 0
        self.scopes = []
        self.error = error
        self.lifetime = lifetime

    def get_token(self, *scopes, **_):
        if self.error:
            raise self.error
        self.issued += 1
        self.scopes += scopes
        return AccessToken(f"token-{self.issued}", int((NOW + self.lifetime).timestamp()))


@pytest.fixture
def endpoint():
    with IngestionEndpoint(clock=lambda: NOW) as endpoint:
        yield endpoint


@pytest.fixture
def secure(monkeypatch):
    with IngestionEndpoint(clock=lambda: NOW, tls=True) as endpoint:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(endpoint.certificate))
        yield endpoint


@pytest.fixture
def patience():
    return Patience()


@pytest.fixture
def transport(patience):
    """Makes transports and closes them."""
    made = []

    def make(endpoint, **options):
        string = endpoint if isinstance(endpoint, str) else endpoint.connection_string
        defaults = {"clock": lambda: NOW, "monotonic": patience.monotonic, "wait": patience.wait}
        made.append(ApplicationInsights(string, **{**defaults, "jitter": lambda: 1.0, **options}))
        return made[-1]

    yield make
    for each in made:
        each.close()


def event(number, **changes):
    properties = {"TokenInfoId": f"id-{number}", "Timestamp": "2026-11-20T09:59:00.000000Z"}
    fields = {
        "name": "Azure OpenAI Tokens",
        "event_id": f"id-{number}",
        "occurred_at": NOW - timedelta(minutes=1),
        "properties": properties,
        "measurements": {"TotalTokens": 12},
    }
    return CustomEvent(**{**fields, **changes})


def events(count):
    return [event(number) for number in range(count)]


def assert_honest(endpoint, sent, delivery):
    """Every event is in exactly one place, and nothing is confirmed that was not accepted."""
    places = [refusal.index for refusal in delivery.refused] + list(delivery.unconfirmed)
    assert len(places) == len(set(places))
    assert set(places) <= set(range(len(sent)))
    assert delivery.sent == len(sent)
    assert list(delivery.unconfirmed) == sorted(delivery.unconfirmed)
    for index, each in enumerate(sent):
        assert index in places or endpoint.accepted[each.event_id] >= 1


EVERY = (0, 1, 2, 3)
TRANSIENT = (408, 429, 500, 502, 503, 504)

TWICE = """{"itemsReceived": 4, "itemsAccepted": 2, "errors": [
    {"index": 1, "statusCode": 400, "message": ""}, {"index": 1, "statusCode": 429, "message": ""}]}"""

SOON = {
    "Retry-After": format_datetime(NOW + timedelta(seconds=4), usegmt=True),
    "Date": format_datetime(NOW, usegmt=True),
}

# sentence: (script, refused, unconfirmed, alarm, requests or None for "several")
MATRIX = {
    "200 with matching counts confirms": ([], (), (), None, 1),
    "200 one short and without errors is not believed": ([always(short())], (), EVERY, None, None),
    "200 one short heals on the next try": ([short()], (), (), None, 2),
    "200 with an empty object is not believed": ([always(says("{}"))], (), EVERY, None, None),
    "200 with no body is not believed": ([always(says(""))], (), EVERY, None, None),
    "200 with prose is not believed": ([always(says("<html>Welcome!</html>"))], (), EVERY, None, None),
    "200 with deeply nested rubbish is not believed": ([says("[" * 100_000)], (), (), None, 2),
    "200 that received too many is not believed": ([receipt(received=5, accepted=4)], (), (), None, 2),
    "206 without errors and full counts confirms": ([receipt(206)], (), (), None, 1),
    "206 with one 429 and one 400 resends one, refuses one": (
        [receipt(206, errors={1: 429, 2: 400}, retry_after=2)],
        (2,),
        (),
        None,
        2,
    ),
    "206 whose counts contradict its errors is not believed": (
        [always(receipt(206, errors={0: 400}, accepted=4))],
        (),
        EVERY,
        None,
        None,
    ),
    "206 with an index out of range is not believed": (
        [always(receipt(206, errors={9: 400}, accepted=3))],
        (),
        EVERY,
        None,
        None,
    ),
    "206 with a negative index is not believed": (
        [receipt(206, errors={-1: 400}, accepted=3)],
        (),
        (),
        None,
        2,
    ),
    "206 with an index that is text is not believed": (
        [receipt(206, errors={"0": 400}, accepted=3)],
        (),
        (),
        None,
        2,
    ),
    "206 that names an item twice is not believed": ([says(TWICE, 206)], (), (), None, 2),
    "206 with an unauthorized item sends it again": ([receipt(206, errors={0: 403})], (), (), None, 2),
    "206 sampled out is refused with an alarm": (
        [receipt(206, errors={3: (206, SAMPLED_OUT.upper())})],
        (3,),
        (),
        "sampled",
        1,
    ),
    "206 sampled out under a transient status is still not retried": (
        [receipt(206, errors={3: (503, SAMPLED_OUT)})],
        (3,),
        (),
        "sampled",
        1,
    ),
    "206 with an item over the daily cap stops": (
        [receipt(206, errors={0: 439, 1: 400})],
        (1,),
        (0,),
        "daily_cap",
        1,
    ),
    "206 with an item status nobody knows stops": (
        [receipt(206, errors={0: 299})],
        (),
        (0,),
        "wrong_endpoint",
        1,
    ),
    "400 that names all refuses all": (
        [receipt(400, errors=dict.fromkeys(EVERY, (400, TOO_OLD)))],
        EVERY,
        (),
        None,
        1,
    ),
    "400 that names one refuses it and resends the others": (
        [receipt(400, errors={1: 400})],
        (1,),
        (),
        None,
        2,
    ),
    "400 that names only transient items resends all after a wait": (
        [receipt(400, errors={1: 503})],
        (),
        (),
        None,
        2,
    ),
    "400 that names none is halved down to the culprit": ([always(refuses("id-2"))], (2,), (), None, 5),
    "400 with prose is halved too": ([says("Bad Request", 400)], (), (), None, 3),
    "400 about other items is halved too": ([receipt(400, errors={0: 400}, received=9)], (), (), None, 3),
    "400 for a wrong key refuses nothing": (
        [always(receipt(400, errors=dict.fromkeys(EVERY, (400, "Invalid instrumentation key"))))],
        (),
        EVERY,
        "wrong_endpoint",
        1,
    ),
    "402 stops": ([always(status(402))], (), EVERY, "daily_cap", 1),
    "439 stops": ([always(status(439))], (), EVERY, "daily_cap", 1),
    "404 stops": ([always(status(404))], (), EVERY, "wrong_endpoint", 1),
    "401 once is tried again": ([status(401)], (), (), None, 2),
    "403 once is tried again": ([status(403)], (), (), None, 2),
    "401 for ever": ([always(status(401))], (), EVERY, "unauthorized", None),
    "403 for ever": ([always(status(403))], (), EVERY, "unauthorized", None),
    "413 is halved until accepted": ([always(too_large(1))], (), (), None, 7),
    "413 for a single item refuses it": ([always(too_large(0))], EVERY, (), None, 7),
    "204 is nobody we know": ([always(status(204))], (), EVERY, "wrong_endpoint", 1),
    "302 to a login page is nobody we know": (
        [always(status(302, headers={"Location": "https://login.example/"}))],
        (),
        EVERY,
        "wrong_endpoint",
        1,
    ),
    "418 is nobody we know": ([always(status(418))], (), EVERY, "wrong_endpoint", 1),
    "a garbled Content-Length is no answer": (
        [status(503, headers={"Content-Length": "many", "Connection": "close"})],
        (),
        (),
        None,
        2,
    ),
    "a body that is not the gzip it claims is no answer": (
        [status(200, body=b"plain", headers={"Content-Encoding": "gzip"})],
        (),
        (),
        None,
        2,
    ),
    "reset before the answer": ([reset("before")], (), (), None, 2),
    "cut in the middle of the answer": ([reset("middle")], (), (), None, 2),
    "closed after the answer": ([reset("after")], (), (), None, 1),
    "reset for ever": ([always(reset("before"))], (), EVERY, None, None),
    "no answer in time, once": ([hang], (), (), None, None),
    "no answer in time for ever": ([always(hang)], (), EVERY, None, None),
    "429 with seconds to wait": ([status(429, retry_after=4)], (), (), None, 2),
    "429 with a date to wait for": ([status(429, headers=SOON)], (), (), None, 2),
    "429 with more to wait than there is": ([always(status(429, retry_after=3600))], (), EVERY, None, 1),
    "503 with seconds to wait": ([status(503, retry_after=4)], (), (), None, 2),
    "307 on the host itself": ([redirect("/v2/track")], (), (), None, 2),
    "308 on the host itself": ([redirect("/v2/track", 308)], (), (), None, 2),
    "307 in a circle": ([always(redirect("/v2.1/track"))], (), EVERY, "wrong_endpoint", 6),
    "307 to a foreign host": (
        [always(redirect("https://elsewhere.example/v2.1/track"))],
        (),
        EVERY,
        "foreign_redirect",
        1,
    ),
    "308 to nowhere": ([always(status(308))], (), EVERY, "foreign_redirect", 1),
    **{f"{code} twice heals": ([status(code), status(code)], (), (), None, 3) for code in TRANSIENT},
    **{f"{code} for ever": ([always(status(code))], (), EVERY, None, None) for code in TRANSIENT},
}


# Real time, so short; and only where waiting is the point, for a busy machine is late with every answer.
TIMES_OUT = {name: {"read_timeout_s": 0.1} for name in MATRIX if name.startswith("no answer in time")}


def told(name):
    """``answer -> what becomes of four items``, for ``pytest -v``: the matrix as a table."""
    _, refused, unconfirmed, alarm, requests = MATRIX[name]
    counts = {
        "confirmed": len(EVERY) - len(refused) - len(unconfirmed),
        "refused": len(refused),
        "unconfirmed": len(unconfirmed),
    }
    outcome = [f"{count} {word}" for word, count in counts.items() if count]
    outcome += [f"alarm {alarm}"] if alarm else []
    return f"{name} -> {', '.join(outcome)}; requests: {requests or 'several'}"


@pytest.mark.parametrize("name", MATRIX, ids=told)
def test_every_answer_leads_to_its_outcome(endpoint, transport, patience, name):
    script, refused, unconfirmed, alarm, requests = MATRIX[name]
    endpoint.script(*script)
    sent = events(4)

    delivery = transport(endpoint, **TIMES_OUT.get(name, {})).send(sent)

    assert_honest(endpoint, sent, delivery)
    assert tuple(refusal.index for refusal in delivery.refused) == refused
    assert delivery.unconfirmed == unconfirmed
    assert delivery.alarm == alarm
    assert patience.now <= 20
    made = len(endpoint.requests)
    assert made == requests if requests else 2 <= made <= 10


def test_every_status_that_is_decided_on_is_in_the_matrix():
    decided = {code for code in DECISIONS if isinstance(code, int)}

    assert decided <= {int(name[:3]) for name in MATRIX if name[:3].isdigit()}


def test_only_the_item_with_a_transient_fault_is_sent_again(endpoint, transport, patience):
    endpoint.script(receipt(206, errors={1: 429, 2: 400}, retry_after=2))

    transport(endpoint).send(events(4))

    assert endpoint.arrivals == {"id-0": 1, "id-1": 2, "id-2": 1, "id-3": 1}
    assert patience.waits == [2]


def test_indexes_of_a_second_request_are_not_those_of_the_first(endpoint, transport):
    endpoint.script(receipt(206, errors={1: 429, 3: 429}), receipt(206, errors={1: 400}))

    delivery = transport(endpoint).send(events(4))

    assert [refusal.index for refusal in delivery.refused] == [3]
    assert delivery.unconfirmed == ()


class TestWaiting:
    @pytest.mark.parametrize("code", [429, 503, 206])
    def test_as_told_in_seconds(self, endpoint, transport, patience, code):
        step = receipt(206, errors={0: 429}, retry_after=3) if code == 206 else status(code, retry_after=3)
        endpoint.script(step, step)

        delivery = transport(endpoint).send(events(2))

        assert delivery.unconfirmed == ()
        assert patience.waits == [3, 3] if code != 206 else [3]

    def test_as_told_by_a_date_on_the_service_s_clock(self, endpoint, transport, patience):
        """Its clock is a day ahead of ours: only the distance counts."""
        theirs = NOW + timedelta(days=1)
        dates = {"Date": format_datetime(theirs, usegmt=True)}
        endpoint.script(
            status(
                429, retry_after=format_datetime(theirs + timedelta(seconds=4), usegmt=True), headers=dates
            )
        )

        delivery = transport(endpoint).send(events(1))

        assert delivery.unconfirmed == ()
        assert patience.waits == [4]

    @pytest.mark.parametrize(
        "told", [None, "0", "-5", "soon", "1.5", "9" * 5000, "Fri, 99 Foo 2026 99:99:99 GMT"]
    )
    def test_longer_each_time_when_told_nothing_sensible(self, endpoint, transport, patience, told):
        step = status(429, retry_after=told)
        endpoint.script(step, step, step)

        delivery = transport(endpoint).send(events(1))

        assert delivery.unconfirmed == ()
        assert patience.waits == [0.5, 1, 2]

    def test_not_at_all_past_the_deadline(self, endpoint, transport, patience):
        endpoint.script(always(status(429, retry_after=3600)))

        delivery = transport(endpoint).send(events(3))

        assert delivery.unconfirmed == (0, 1, 2)
        assert delivery.retry_after_s == 3600
        assert patience.waits == []
        assert len(endpoint.requests) == 1

    def test_is_bounded_and_never_beyond_the_deadline(self, endpoint, transport, patience):
        endpoint.script(always(status(503)))

        transport(endpoint, deadline_s=120).send(events(1))

        assert patience.waits == [0.5, 1, 2, 4, 8, 16, 30, 30]

    def test_starts_anew_after_progress(self, endpoint, transport, patience):
        endpoint.script(status(503), status(503), receipt(206, errors={0: 429}), status(503))

        transport(endpoint).send(events(2))

        assert patience.waits == [0.5, 1, 0.5, 0.5]

    @pytest.mark.parametrize(
        ("step", "waits"),
        [
            (receipt(400, errors={0: 400}), []),
            (receipt(400, errors={0: 503}), [0.5]),
            (receipt(400, errors={0: 400, 1: 503}), [0.5]),
            (refuses("id-0"), []),
            (too_large(2), []),
        ],
        ids=["one refused", "one transient", "both", "halved", "halved by size"],
    )
    def test_only_if_a_resend_could_go_on_for_ever(self, endpoint, transport, patience, step, waits):
        """What shrinks with each request needs no pause."""
        endpoint.script(step)

        assert transport(endpoint).send(events(4)).unconfirmed == ()
        assert patience.waits == waits

    def test_is_spread_by_jitter(self, endpoint, transport, patience):
        endpoint.script(status(503))

        transport(endpoint, jitter=lambda: 0.0).send(events(1))

        assert patience.waits == [0.25]

    @given(
        st.text(max_size=40)
        | st.from_regex(r"Fri, [0-9]+ (Nov|Foo) [0-9]+ [0-9]+:[0-9]+:[0-9]+ ([+-][0-9]+|GMT)", fullmatch=True)
    )
    def test_no_header_is_strange_enough_to_raise(self, told):
        seconds = retry_after_s({"Retry-After": told, "Date": told}, NOW)

        assert seconds is None or seconds >= 0


class TestConnection:
    def test_an_answer_after_the_read_timeout_makes_a_copy(self, endpoint, transport):
        """The one duplicate nobody can avoid: the service has it, we cannot know."""
        endpoint.script(hang)

        delivery = transport(endpoint, read_timeout_s=0.05).send(events(3))

        assert delivery.unconfirmed == ()
        assert endpoint.arrivals == {"id-0": 2, "id-1": 2, "id-2": 2}

    def test_copies_are_the_same_bytes(self, endpoint, transport):
        endpoint.script(hang, reset("before"))

        transport(endpoint, read_timeout_s=0.05).send(events(1))

        first, second, third = endpoint.items
        assert first == second == third

    def test_a_port_that_opens_later_is_found(self, endpoint, transport, patience):
        sender = transport(endpoint)
        endpoint.stop()
        patience.on_wait = lambda: endpoint.start() if len(patience.waits) == 3 else None

        delivery = sender.send(events(2))

        assert delivery.unconfirmed == ()
        assert endpoint.arrivals == {"id-0": 1, "id-1": 1}

    def test_a_kept_connection_that_the_service_dropped_costs_nothing(self, endpoint, transport):
        sender = transport(endpoint)
        sender.send(events(1))
        endpoint.stop()
        endpoint.start()

        assert sender.send(events(1)).unconfirmed == ()

    def test_a_port_that_stays_closed_leaves_all_unconfirmed(self, endpoint, transport):
        sender = transport(endpoint)
        endpoint.stop()

        assert sender.send(events(2)).unconfirmed == (0, 1)

    def test_a_host_nobody_knows_leaves_all_unconfirmed(self, transport, patience, monkeypatch):
        def unknown(*_, **__):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        sender = transport(f"InstrumentationKey={KEY};IngestionEndpoint=http://ingestion.example/")

        delivery = sender.send(events(2))

        assert (delivery.unconfirmed, delivery.alarm) == ((0, 1), None)
        assert len(patience.waits) > 1, "it may be known a second later"

    def test_a_certificate_nobody_trusts_leaves_all_unconfirmed(self, transport):
        with IngestionEndpoint(tls=True) as stranger:
            delivery = transport(stranger).send(events(1))

            assert delivery.unconfirmed == (0,)
            assert stranger.requests == []

    def test_nothing_to_send_opens_no_connection(self, endpoint, transport):
        assert transport(endpoint).send([]).sent == 0
        assert endpoint.requests == []

    def test_a_closed_transport_still_works(self, endpoint, transport):
        sender = transport(endpoint)
        sender.send(events(1))
        sender.close()

        assert sender.send(events(1)).unconfirmed == ()

    def test_gzip_when_asked(self, endpoint, transport):
        delivery = transport(endpoint, compress=True).send(events(20))

        assert delivery.unconfirmed == ()
        (request,) = endpoint.requests
        assert request.headers["Content-Encoding"] == "gzip"
        assert request.raw_length < 1000


class TestRedirects:
    @pytest.fixture
    def other(self):
        with IngestionEndpoint(clock=lambda: NOW) as other:
            yield other

    @pytest.mark.parametrize("code", [307, 308])
    @pytest.mark.parametrize("path", ["/v2.1/track", "", "/"])
    def test_are_followed_and_kept(self, endpoint, other, transport, code, path):
        endpoint.script(always(redirect(other.url + path, code)))
        sender = transport(endpoint)

        deliveries = [sender.send(events(2)), sender.send(events(2))]

        assert [delivery.unconfirmed for delivery in deliveries] == [(), ()]
        assert len(endpoint.requests) == 1
        assert len(other.requests) == 2

    def test_are_forgotten_when_the_new_place_dies(self, endpoint, other, transport):
        endpoint.script(redirect(other.url))
        sender = transport(endpoint)
        sender.send(events(1))
        other.stop()

        assert sender.send(events(1)).unconfirmed == ()
        assert len(endpoint.requests) == 2

    def test_may_stay_on_the_host_without_naming_it(self, endpoint, transport):
        endpoint.script(redirect("/v2/track"))

        assert transport(endpoint).send(events(1)).unconfirmed == ()
        assert endpoint.requests[1].path == "/v2/track"

    def test_in_a_circle_end(self, endpoint, other, transport, patience):
        endpoint.script(always(redirect(other.url)))
        other.script(always(redirect(endpoint.url)))

        delivery = transport(endpoint).send(events(1))

        assert delivery.unconfirmed == (0,)
        assert delivery.alarm == "wrong_endpoint"
        assert len(endpoint.requests) + len(other.requests) == 6
        assert patience.waits == []

    def test_to_a_foreign_host_are_refused(self, endpoint, other, transport):
        endpoint.script(always(redirect(other.url.replace("127.0.0.1", "localhost"))))

        delivery = transport(endpoint).send(events(2))

        assert delivery.unconfirmed == (0, 1)
        assert delivery.alarm == "foreign_redirect"
        assert other.requests == []

    def test_never_take_a_token_to_plain_http(self, secure, other, transport):
        secure.script(always(redirect(other.url)))

        delivery = transport(secure, credential=Credential()).send(events(1))

        assert delivery.alarm == "foreign_redirect"
        assert other.requests == []

    WEST = "https://westeurope-5.in.applicationinsights.azure.com/v2.1/track"

    @pytest.mark.parametrize(
        "location",
        [
            "https://westeurope-3.in.applicationinsights.azure.com/v2.1/track",
            "https://dc.services.visualstudio.com/v2/track",
            "https://WESTEUROPE-5.IN.APPLICATIONINSIGHTS.AZURE.COM:8443/v2.1/track",
        ],
    )
    def test_between_microsoft_s_hosts_are_allowed(self, location):
        assert redirect_target(self.WEST, location) == location

    @pytest.mark.parametrize(
        "location",
        [
            None,
            "",
            "http://westeurope-3.in.applicationinsights.azure.com/",
            "https://applicationinsights.azure.com.evil.example/",
            "https://evilapplicationinsights.azure.com/",
            "https://dc.services.visualstudio.com@evil.example/",
            "https://evil.example\\.applicationinsights.azure.com/",
            "https://evil.example#.applicationinsights.azure.com/",
            "//evil.example/v2.1/track",
            "/\\evil.example/v2.1/track",
            "https:evil.example",
            "https://[::1/",
            "https://dc.services.visualstudio.com./",
            "ftp://dc.services.visualstudio.com/",
        ],
    )
    def test_by_any_trick_are_refused(self, location):
        assert redirect_target(self.WEST, location) is None


class TestToken:
    def sent(self, endpoint):
        return [request.headers.get("Authorization") for request in endpoint.requests]

    def test_goes_along_and_is_kept(self, secure, transport):
        credential = Credential()
        sender = transport(secure, credential=credential)

        assert sender.send(events(1)).unconfirmed == ()
        assert sender.send(events(1)).unconfirmed == ()
        assert self.sent(secure) == ["Bearer token-1"] * 2
        assert credential.scopes == ["https://monitor.azure.com//.default"]

    @pytest.mark.parametrize("code", [401, 403])
    def test_is_renewed_once(self, secure, transport, code):
        secure.script(*[status(code)] * 3)

        delivery = transport(secure, credential=Credential()).send(events(1))

        assert delivery.unconfirmed == ()
        assert delivery.alarm is None
        assert self.sent(secure) == ["Bearer token-1"] + ["Bearer token-2"] * 3

    def test_is_fetched_again_before_it_ends(self, secure, transport):
        credential = Credential(lifetime=timedelta(minutes=4))
        sender = transport(secure, credential=credential)

        sender.send(events(1))
        sender.send(events(1))

        assert credential.issued == 2

    @pytest.mark.parametrize(
        "error", [ClientAuthenticationError("secret-42"), ValueError("secret-42"), OSError("secret-42")]
    )
    def test_that_cannot_be_had_leaves_all_unconfirmed(self, secure, transport, caplog, error):
        delivery = transport(secure, credential=Credential(error=error)).send(events(2))

        assert delivery.unconfirmed == (0, 1)
        assert delivery.alarm == "unauthorized"
        assert secure.requests == []
        assert "secret-42" not in caplog.text

    def test_never_travels_over_plain_http(self, endpoint, transport):
        credential = Credential()

        assert transport(endpoint, credential=credential).send(events(1)).unconfirmed == ()
        assert self.sent(endpoint) == [None]
        assert credential.issued == 0

    def test_over_plain_http_to_a_real_host_is_refused_at_once(self, transport):
        with pytest.raises(StopError, match="plain http"):
            transport(
                f"InstrumentationKey={KEY};IngestionEndpoint=http://ingestion.example/",
                credential=Credential(),
            )

    def test_is_not_replaced_by_a_password_from_the_machine(self, secure, transport, monkeypatch, tmp_path):
        netrc = tmp_path / "netrc"
        netrc.write_text("default login somebody password hers\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))

        transport(secure, credential=Credential()).send(events(1))

        assert self.sent(secure) == ["Bearer token-1"]


class TestChunks:
    def test_a_failing_second_one_leaves_the_first_confirmed_and_unrepeated(self, endpoint, transport):
        endpoint.script(lambda number: service if number == 1 else status(503))

        delivery = transport(endpoint, deadline_s=3).send(events(1200))

        assert delivery.unconfirmed == tuple(range(500, 1200))
        assert all(endpoint.arrivals[f"id-{number}"] == 1 for number in range(500))
        assert endpoint.arrivals["id-1199"] == 0

    def test_a_refusal_in_the_first_does_not_hide_the_others(self, endpoint, transport):
        endpoint.script(receipt(206, errors={7: 400}))

        delivery = transport(endpoint).send(events(1200))

        assert [refusal.index for refusal in delivery.refused] == [7]
        assert delivery.unconfirmed == ()
        assert [len(request.items) for request in endpoint.requests] == [500, 500, 200]

    def test_stay_below_a_megabyte(self, endpoint, transport):
        big = {f"Property{number}": "x" * 8000 for number in range(7)}
        sent = [event(n, properties={"TokenInfoId": f"id-{n}", **big}) for n in range(60)]

        delivery = transport(endpoint).send(sent)

        assert delivery.unconfirmed == ()
        assert max(request.raw_length for request in endpoint.requests) <= 1_000_000
        assert [len(request.items) for request in endpoint.requests] == [17, 17, 17, 9]

    def test_are_built_only_as_they_are_sent(self, endpoint, transport, monkeypatch):
        """Bounded memory: a backlog is never encoded as a whole."""
        built = []
        encode = application_insights.encode
        monkeypatch.setattr(
            application_insights,
            "encode",
            lambda each, **options: built.append(each) or encode(each, **options),
        )
        endpoint.script(always(status(439)))

        transport(endpoint).send(events(5000))

        assert len(built) <= 501

    def test_the_deadline_holds_between_them_too(self, endpoint, transport):
        ticks = iter(range(0, 10_000, 4))

        delivery = transport(endpoint, monotonic=lambda: next(ticks)).send(events(5000))

        assert 0 < len(delivery.unconfirmed) < 5000
        assert len(endpoint.requests) < 5


def test_what_breaks_a_limit_is_refused_before_it_is_sent(endpoint, transport):
    sent = events(3)
    sent[1] = event(1, properties={"TokenInfoId": "id-1", "Lines": "secret" * 2000})

    delivery = transport(endpoint).send(sent)

    (refusal,) = delivery.refused
    assert refusal.index == 1
    assert refusal.message == "item 1: property 'Lines' has 12000 characters, the limit is 8192"
    assert endpoint.arrivals == {"id-0": 1, "id-2": 1}
    assert delivery.unconfirmed == ()


@pytest.mark.parametrize("age", [timedelta(hours=49), timedelta(hours=-3)])
def test_events_too_old_or_too_new_are_dated_now_and_say_so(endpoint, transport, age):
    call_time = {"TokenInfoId": "id-0", "Timestamp": (NOW - age).isoformat()}

    delivery = transport(endpoint).send([event(0, occurred_at=NOW - age, properties=call_time)])

    assert delivery == application_insights.Delivery(sent=1)
    (item,) = endpoint.items
    assert item["time"] == "2026-11-20T10:00:00.000000Z"
    assert item["data"]["baseData"]["properties"] == {**call_time, "TimeClamped": "true"}


def test_what_the_service_echoes_goes_no_further(endpoint, transport, caplog):
    echo = (400, "103: Field 'time' on type 'Envelope' is older: Smith, Jane 4711")
    endpoint.script(receipt(206, errors={0: echo, 1: (400, "Smith, Jane 4711"), 2: (400, "107: Smith")}))

    with caplog.at_level(logging.DEBUG):
        delivery = transport(endpoint).send(events(4))

    assert [refusal.message for refusal in delivery.refused] == [
        "refused with status 400 (103: the envelope's time is older than the service takes)",
        "refused with status 400 (no code given)",
        "refused with status 400 (107: the service's own code)",
    ]
    assert "Smith" not in caplog.text
    assert KEY not in caplog.text


def test_a_shortfall_is_logged_in_numbers(endpoint, transport, caplog):
    endpoint.script(always(status(439)))

    transport(endpoint).send(events(4))

    [record] = [record for record in caplog.records if record.event == "telemetry.not_all_confirmed"]
    assert record.fields == {
        "sent": 4,
        "refused": 0,
        "unconfirmed": 4,
        "last_answer": 439,
        "alarm": "daily_cap",
    }


def test_four_threads_put_every_item_on_the_wire_once(endpoint, transport):
    sender = transport(endpoint)
    deliveries = []
    start = threading.Barrier(4)

    def work(thread):
        start.wait()
        for batch in range(5):
            first = thread * 1000 + batch * 100
            deliveries.append(sender.send([event(number) for number in range(first, first + 100)]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [delivery.unconfirmed for delivery in deliveries] == [()] * 20
    assert set(endpoint.arrivals.values()) == {1}
    assert len(endpoint.arrivals) == 2000


WEATHER = st.sampled_from(
    [
        service,
        short(),
        says("{}"),
        says("no"),
        receipt(206),
        receipt(206, errors={0: 429}),
        receipt(206, errors={0: 400, 1: 503}),
        receipt(206, errors={1: (400, SAMPLED_OUT)}),
        receipt(206, errors={0: 439}),
        receipt(206, errors={0: 401}),
        receipt(206, errors={0: 400}, accepted=9),
        receipt(400, errors={0: 400}),
        receipt(400, errors={0: 400, 1: 429}),
        receipt(400),
        too_large(2),
        *[status(code) for code in (400, 401, 402, 403, 404, 413, 418, 439, *TRANSIENT)],
        status(429, retry_after=1),
        reset("before"),
        reset("middle"),
        reset("after"),
    ]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(WEATHER, max_size=8), count=st.integers(1, 7))
def test_in_no_weather_is_anything_lost_or_confirmed_unaccepted(endpoint, script, count):
    endpoint.reset()
    endpoint.script(*script)
    patience = Patience()
    sender = ApplicationInsights(
        endpoint.connection_string, clock=lambda: NOW, monotonic=patience.monotonic, wait=patience.wait
    )
    sent = events(count)

    delivery = sender.send(sent)
    sender.close()

    assert_honest(endpoint, sent, delivery)
    assert set(endpoint.arrivals) <= {each.event_id for each in sent}
    assert all(event_id(item) for item in endpoint.items)


class TestConnectionString:
    def test_names_endpoint_and_key(self):
        destination = parse_connection_string(
            f" instrumentationkey={KEY.upper()} ; IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/;"
            "LiveEndpoint=https://x/;ApplicationId=1;"
        )

        assert destination.url == "https://westeurope-5.in.applicationinsights.azure.com/v2.1/track"
        assert destination.instrumentation_key == KEY
        assert destination.scope == "https://monitor.azure.com//.default"

    @pytest.mark.parametrize(
        ("more", "url"),
        [
            ("", "https://dc.services.visualstudio.com/v2.1/track"),
            (
                ";EndpointSuffix=applicationinsights.azure.cn",
                "https://dc.applicationinsights.azure.cn/v2.1/track",
            ),
            (";EndpointSuffix=monitor.azure.com;Location=weu", "https://weu.dc.monitor.azure.com/v2.1/track"),
            (";IngestionEndpoint=http://127.0.0.1:9", "http://127.0.0.1:9/v2.1/track"),
            (
                ";IngestionEndpoint=https://proxy.example/insights/",
                "https://proxy.example/insights/v2.1/track",
            ),
        ],
    )
    def test_defaults_as_microsoft_s_packages_do(self, more, url):
        assert parse_connection_string(f"InstrumentationKey={KEY}{more}").url == url

    def test_names_the_audience_of_a_sovereign_cloud(self):
        setting = f"InstrumentationKey={KEY};AADAudience=https://monitor.azure.cn/"

        assert parse_connection_string(setting).scope == "https://monitor.azure.cn//.default"

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("", "InstrumentationKey is missing"),
            ("secret42", "has no '='"),
            ("InstrumentationKey=secret42", "InstrumentationKey is no GUID"),
            (f"InstrumentationKey={KEY};IngestionEndpoint=secret42.example", "IngestionEndpoint is no"),
            (f"InstrumentationKey={KEY};IngestionEndpoint=https://secret42@host/", "IngestionEndpoint is no"),
        ],
    )
    def test_that_cannot_work_says_which_part_and_not_what_it_holds(self, setting, message):
        with pytest.raises(StopError, match=message) as caught:
            parse_connection_string(setting)

        assert "secret42" not in str(caught.value)


class TestAuthenticationString:
    def test_selects_a_managed_identity(self):
        from azure.identity import ManagedIdentityCredential

        for setting in (
            "Authorization=AAD",
            "authorization=aad;ClientId=00000000-0000-0000-0000-000000000002",
        ):
            assert isinstance(entra_credential(setting), ManagedIdentityCredential)

    def test_that_is_blank_selects_none(self):
        assert entra_credential(" ") is None

    @pytest.mark.parametrize("setting", ["AAD", "Authorization=Basic", "ClientId=1"])
    def test_that_means_nothing_is_refused(self, setting):
        with pytest.raises(StopError, match="APPLICATIONINSIGHTS_AUTHENTICATION_STRING"):
            entra_credential(setting)
