"""What blob storage says, or does not say, becomes what the caller must do; never with a secret in it."""

import socket
import threading
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob import ContainerClient

from chargeback.errors import RetryError, StopError
from chargeback.journal import blob
from chargeback.ports import InDoubtError, MovedError

SECRET = "c2VjcmV0LWNhbmFyeQ"
SEGMENT = "date=2026-05-24/000001.ndjson"


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, code = self.server.answer
        if not status:
            self.close_connection = True
            return
        body = f"<Error><Code>{code}</Code><Message>{self.path}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("x-ms-error-code", code)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(0 if self.command == "HEAD" else len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815 - the base class calls these names

    def log_message(self, *args):
        pass


@contextmanager
def answering(status, code):
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        server.answer = (status, code)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def storage(port, credential=None):
    url = f"http://127.0.0.1:{port}/account"
    signed = None if credential else f"sv=2026-06-06&sig={SECRET}"
    # Retries of reads are the SDK's business; here they would only take time.
    with ContainerClient(url, "ledger", credential=credential or signed, retry_total=0) as container:
        yield blob.Container(container)


def write(box):
    blob.BlobSegments(box, "journal").append(SEGMENT, b"row\n", 0)


def create(box):
    blob.BlobSegments(box, "journal").create(SEGMENT)


def read(box):
    blob.BlobSegments(box, "journal").read(SEGMENT, 0, 10)


def look(box):
    blob.BlobSegments(box, "journal").extent(SEGMENT)


def names(box):
    blob.BlobSegments(box, "journal").names()


def put(box):
    blob.BlobObjects(box).put("rates/a.json", b"{}", tag="absent")


def get(box):
    blob.BlobObjects(box).get("rates/a.json")


def failing(act, box):
    with pytest.raises((RetryError, StopError)) as raised:
        act(box)
    whole = "".join(traceback.format_exception(raised.value))
    assert SECRET not in whole
    assert "sig=" not in whole
    return raised.value


WRITES = [write, create, put]
READS = [read, look, names, get]


@pytest.mark.parametrize("act", WRITES)
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AuthorizationPermissionMismatch", StopError),
        (401, "NoAuthenticationInformation", StopError),
        (400, "InvalidHeaderValue", StopError),
        (413, "RequestBodyTooLarge", StopError),
        (408, "OperationTimedOut", InDoubtError),
        (429, "TooManyRequests", InDoubtError),
        (500, "InternalError", InDoubtError),
        (500, "OperationTimedOut", InDoubtError),
        (503, "ServerBusy", InDoubtError),
        (0, "the connection ends", InDoubtError),
    ],
)
def test_a_failed_write(act, status, code, expected):
    with answering(status, code) as port, storage(port) as box:
        error = failing(act, box)

    assert type(error) is expected
    assert str(status or "no answer") in str(error)


@pytest.mark.parametrize("act", [write, put])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (409, "BlobAlreadyExists"),
        (412, "ConditionNotMet"),
        (412, "AppendPositionConditionNotMet"),
        (409, "BlockCountExceedsLimit"),
    ],
)
def test_a_failed_condition_means_somebody_was_first(act, status, code):
    with answering(status, code) as port, storage(port) as box:
        assert type(failing(act, box)) is MovedError


@pytest.mark.parametrize("status", [409, 412])
def test_creating_what_is_there_already_is_no_error(status):
    with answering(status, "BlobAlreadyExists") as port, storage(port) as box:
        assert blob.BlobSegments(box, "journal").create(SEGMENT) is False


@pytest.mark.parametrize("act", READS)
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AuthorizationFailure", StopError),
        (500, "InternalError", RetryError),
        (503, "ServerBusy", RetryError),
        (0, "the connection ends", RetryError),
    ],
)
def test_a_failed_read_is_never_in_doubt(act, status, code, expected):
    with answering(status, code) as port, storage(port) as box:
        assert type(failing(act, box)) is expected


@pytest.mark.parametrize("act", [*WRITES, *READS])
def test_out_of_reach(act):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with storage(closed.getsockname()[1]) as box:
            error = failing(act, box)

    assert type(error) is RetryError
    assert "out of reach" in str(error)


def test_a_missing_container_has_no_names():
    with answering(404, "ContainerNotFound") as port, storage(port) as box:
        assert blob.BlobSegments(box, "journal").names() == []
        assert blob.BlobObjects(box).get("a") is None
        assert blob.BlobSegments(box, "journal").extent(SEGMENT) is None


@pytest.mark.parametrize("act", [write, read])
def test_an_identity_without_a_token_may_get_one_later(act):
    class NoToken:
        def get_token(self, *scopes, **options):
            raise ClientAuthenticationError(f"no answer from the identity endpoint, {SECRET}")

    with answering(200, "") as port:
        # A token is only ever sent over TLS, so ask for it there; nothing is sent without one.
        url = f"https://127.0.0.1:{port}/account"
        with ContainerClient(url, "ledger", credential=NoToken(), retry_total=0) as container:
            error = failing(act, blob.Container(container))

    assert isinstance(error, RetryError)


def test_clients_give_up_before_a_function_does():
    connection = (
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;EndpointSuffix=core.windows.net"
    )
    with blob.by_connection_string(connection, "ledger") as container:
        policy = container._config.retry_policy

        assert (policy.total_retries, policy.initial_backoff) == (2, 1)


def test_a_ledger_needs_no_storage_until_it_is_used():
    with ContainerClient("http://127.0.0.1:9/account", "ledger", credential=SECRET) as container:
        ledger = blob.ledger(container, writer="w", now=lambda: datetime(2026, 5, 24, tzinfo=UTC))

        assert ledger.journal("source/a").name == "source/a"
