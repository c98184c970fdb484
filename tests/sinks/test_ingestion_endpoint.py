"""The endpoint that other tests trust: what it accepts, refuses and remembers."""

import gzip
import http.client
import json
import socket
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.ingestion import (
    KEY,
    TOO_NEW,
    TOO_OLD,
    IngestionEndpoint,
    Mode,
    always,
    receipt,
    redirect,
    reset,
    says,
    service,
    short,
    status,
    too_large,
)

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@pytest.fixture
def endpoint():
    with IngestionEndpoint(clock=lambda: NOW) as endpoint:
        yield endpoint


def item(number=0, *, time=NOW, key=KEY, **base):
    data = {"ver": 2, "name": "E", "properties": {"TokenInfoId": f"id-{number}"}, **base}
    return {
        "name": "N",
        "time": time.isoformat(),
        "iKey": key,
        "data": {"baseType": "EventData", "baseData": data},
    }


def post(endpoint, body, path="/v2.1/track", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", int(endpoint.url.rpartition(":")[2]), timeout=5)
    try:
        connection.request(
            "POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers
        )
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def counts(body):
    parsed = json.loads(body)
    return (
        parsed["itemsReceived"],
        parsed["itemsAccepted"],
        {e["index"]: e["message"] for e in parsed["errors"]},
    )


@pytest.mark.parametrize("path", ["/v2/track", "/v2.1/track", "//v2.1/track"])
def test_good_items_are_accepted_under_every_path_that_packages_use(endpoint, path):
    code, body, _ = post(endpoint, [item(0), item(1)], path)

    assert (code, counts(body)) == (200, (2, 2, {}))
    assert endpoint.arrivals == endpoint.accepted == {"id-0": 1, "id-1": 1}


def test_other_paths_are_404(endpoint):
    assert post(endpoint, [item()], "/v3/track")[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        json.dumps([item(0), item(1)]).encode(),
        b"\n".join(json.dumps(item(n)).encode() for n in range(2)) + b"\n",
        json.dumps([item(0), item(1)], indent=2).encode(),
    ],
    ids=["array", "one a line", "spread over lines"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_shape_of_body_is_read(endpoint, body, packed):
    headers = {"Content-Encoding": "gzip"} if packed else {}

    code, _, _ = post(endpoint, gzip.compress(body) if packed else body, **headers)

    assert code == 200
    assert len(endpoint.items) == 2


def test_a_single_object_is_one_item(endpoint):
    assert counts(post(endpoint, item())[1]) == (1, 1, {})


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff"])
def test_what_is_not_items_is_400(endpoint, body):
    assert post(endpoint, body)[0] == 400


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (item(key="00000000-0000-0000-0000-000000000009"), "Invalid instrumentation key"),
        (item(time=NOW - timedelta(hours=48, seconds=1)), TOO_OLD),
        (item(time=NOW + timedelta(hours=2, seconds=1)), TOO_NEW),
        (item(name=""), "109:"),
        (item(name="n" * 513), "101:"),
        (item(properties={"k" * 151: "v"}), "101:"),
        (item(properties={"k": "v" * 8193}), "101:"),
        (item(properties={"k": 1}), "101:"),
        (item(measurements={"k": "1"}), "105:"),
        ({**item(), "time": "yesterday"}, "105:"),
        ({**item(), "data": None}, "109:"),
    ],
)
def test_bad_items_are_refused_one_by_one(endpoint, bad, message):
    some = post(endpoint, [item(7), bad])
    none = post(endpoint, [bad])

    assert some[0] == 206
    assert none[0] == 400
    received, accepted, errors = counts(some[1])
    assert (received, accepted, list(errors)) == (2, 1, [1])
    assert errors[1].startswith(message)
    assert endpoint.accepted == {"id-7": 1}


def test_a_list_is_worked_off_and_then_it_is_the_service_again(endpoint):
    endpoint.script(status(503), status(429, retry_after=2))

    answers = [post(endpoint, [item()]) for _ in range(3)]

    assert [answer[0] for answer in answers] == [503, 429, 200]
    assert answers[1][2]["Retry-After"] == "2"
    assert endpoint.arrivals["id-0"] == 3
    assert endpoint.accepted["id-0"] == 1


def test_a_lasting_mode_lasts(endpoint):
    endpoint.script(status(500), always(status(503)))

    assert [post(endpoint, [item()])[0] for _ in range(4)] == [500, 503, 503, 503]


def test_a_function_decides_by_the_request_s_number(endpoint):
    endpoint.script(lambda number: service if number % 2 == 0 else status(503))

    assert [post(endpoint, [item()])[0] for _ in range(4)] == [503, 200, 503, 200]


def test_modes_accept_what_they_say(endpoint):
    three = [item(0), item(1), item(2)]
    expected: list[tuple[Mode, int, list[str]]] = [
        (short(), 200, ["id-0", "id-1"]),
        (says("{}"), 200, []),
        (receipt(206, errors={0: 429, 1: (400, "no")}), 206, ["id-2"]),
        (receipt(400, errors={0: 400}), 400, []),
        (too_large(2), 413, []),
        (redirect("https://elsewhere.example/"), 307, []),
    ]
    for mode, code, accepted in expected:
        endpoint.reset()
        endpoint.script(mode)

        assert post(endpoint, three)[0] == code
        assert list(endpoint.accepted) == accepted


@pytest.mark.parametrize(
    ("when", "error"), [("before", ConnectionError), ("middle", http.client.IncompleteRead)]
)
def test_connections_break_when_told(endpoint, when, error):
    endpoint.script(reset(when))

    with pytest.raises(error):
        post(endpoint, [item()])

    assert endpoint.accepted["id-0"] == 1


def test_it_can_be_away_and_come_back_on_its_port(endpoint):
    before = endpoint.connection_string
    post(endpoint, [item()])
    endpoint.stop()

    with pytest.raises(ConnectionRefusedError):
        post(endpoint, [item()])
    endpoint.start()

    assert endpoint.connection_string == before
    assert post(endpoint, [item()])[0] == 200
    assert endpoint.arrivals["id-0"] == 2


def test_stopping_breaks_connections_that_are_open(endpoint):
    host, port = "127.0.0.1", int(endpoint.url.rpartition(":")[2])
    with socket.create_connection((host, port), timeout=5) as open_connection:
        post(endpoint, [item()])
        endpoint.stop()

        assert open_connection.recv(1) == b""


def test_it_remembers_requests_and_forgets_on_reset(endpoint):
    post(endpoint, [item()], **{"X-Test": "1"})

    (request,) = endpoint.requests
    assert (request.number, request.path, request.headers["X-Test"]) == (1, "/v2.1/track", "1")
    assert request.raw_length == len(json.dumps([item()]))

    endpoint.reset()

    assert endpoint.requests == []
    assert not endpoint.arrivals
    assert not endpoint.accepted
