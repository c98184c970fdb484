"""A local Application Insights ingestion endpoint that answers as told and remembers everything.

    with IngestionEndpoint() as endpoint:
        endpoint.script(status(503), status(503))            # twice 503, then as the service would
        endpoint.script(status(429, retry_after=2))          # then as the service would
        endpoint.script(always(short()))                     # for ever
        endpoint.script(lambda number: status(503) if number % 2 else service)
        ... send to endpoint.connection_string ...
        endpoint.arrivals["id-1"], endpoint.accepted["id-1"]

Without a script it checks items as the service does. It answers what Microsoft's SDKs, their tests and their
issues say the service answers; it is not the service. An event's id is its property ``TokenInfoId``.
"""

import contextlib
import gzip
import json
import socket
import socketserver
import ssl
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from typing import Self

KEY = "00000000-0000-0000-0000-000000000001"
PATHS = {"/v2/track", "/v2.1/track"}
SAMPLED_OUT = "Telemetry sampled out."
TOO_OLD = (
    "103: Field 'time' on type 'Envelope' is older than the allowed min date. Expected: now - 172800000ms"
)
TOO_NEW = "104: Field 'time' on type 'Envelope' is newer than the max date. Expected: now + 7200000ms"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What arrived. ``number`` counts from 1 since the script was set."""

    number: int
    path: str
    headers: Mapping[str, str]
    raw_length: int
    items: list[dict]
    at: float = field(default_factory=time.monotonic)

    @property
    def ids(self) -> list[str | None]:
        return [event_id(item) for item in self.items]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What to answer, which items count as accepted, and how to treat the connection."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    accepts: Iterable[int] = ()
    breaks: str | None = None
    """``before``, ``middle`` or ``after`` the answer; ``hang``: answers once the client has given up."""


@dataclass(frozen=True)
class Mode:
    """A way to answer; ``endpoint`` is passed for the modes that check items."""

    reply: Callable[["IngestionEndpoint", Request], Reply]
    lasting: bool = False


def event_id(item: Mapping) -> str | None:
    """The item's ``TokenInfoId``; None where it has none."""
    try:
        return item["data"]["baseData"]["properties"]["TokenInfoId"]
    except (KeyError, TypeError):
        return None


# Modes


def always(mode: Mode) -> Mode:
    """The mode for this and every later request."""
    return Mode(mode.reply, lasting=True)


def status(
    code: int, *, retry_after: str | int | None = None, body: bytes = b"", headers: Mapping[str, str] = {}
) -> Mode:
    """A whole answer without a receipt; nothing is accepted. ``retry_after``: seconds or an HTTP date."""
    told = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Mode(lambda _, __: Reply(status=code, body=body, headers={**headers, **told}))


def receipt(
    code: int = 200,
    *,
    errors: Mapping[int, int | tuple[int, str]] = {},
    received: int | None = None,
    accepted: int | None = None,
    retry_after: str | int | None = None,
) -> Mode:
    """A receipt; items with an error (index -> status, or status and message) are not accepted, the others are.

    Numbers are right unless given. A 400 accepts nothing.
    """
    told = {} if retry_after is None else {"Retry-After": str(retry_after)}
    entries = [
        {"index": index, "statusCode": error, "message": "no"}
        if isinstance(error, int)
        else {"index": index, "statusCode": error[0], "message": error[1]}
        for index, error in errors.items()
    ]

    def reply(_: "IngestionEndpoint", request: Request) -> Reply:
        takes = [] if code == 400 else [index for index in range(len(request.items)) if index not in errors]
        body = {
            "itemsReceived": len(request.items) if received is None else received,
            "itemsAccepted": len(takes) if accepted is None else accepted,
            "appId": None,
            "errors": entries,
        }
        return Reply(status=code, body=json.dumps(body).encode(), headers=told, accepts=takes)

    return Mode(reply)


def short(by: int = 1) -> Mode:
    """200, but the last ``by`` items were not accepted and no error says so."""

    def reply(_: "IngestionEndpoint", request: Request) -> Reply:
        count = len(request.items)
        body = {"itemsReceived": count, "itemsAccepted": count - by, "errors": []}
        return Reply(body=json.dumps(body).encode(), accepts=range(count - by))

    return Mode(reply)


def says(body: str, code: int = 200) -> Mode:
    """Any body under any status; nothing is accepted. ``says("{}")`` is the empty answer."""
    return Mode(lambda _, __: Reply(status=code, body=body.encode()))


def too_large(over: int) -> Mode:
    """413 for more than ``over`` items, else as the service."""
    return Mode(
        lambda endpoint, request: Reply(status=413) if len(request.items) > over else endpoint.check(request)
    )


def refuses(*ids: str) -> Mode:
    """400 without naming any item while one of ``ids`` is among them, else as the service."""
    return Mode(
        lambda endpoint, request: (
            Reply(status=400, body=_receipt(len(request.items), 0, []))
            if set(ids) & set(request.ids)
            else endpoint.check(request)
        )
    )


def redirect(location: str, code: int = 307) -> Mode:
    return Mode(lambda _, __: Reply(status=code, headers={"Location": location}))


def reset(when: str) -> Mode:
    """The connection breaks ``before``, in the ``middle`` of or ``after`` the answer; all items are accepted."""
    return Mode(lambda _, request: _all_accepted(request, breaks=when))


hang = Mode(lambda _, request: _all_accepted(request, breaks="hang"))
"""All items are accepted, but the answer comes only after the client has hung up."""

service = Mode(lambda endpoint, request: endpoint.check(request))
"""The default: checks each item as the service does."""


class IngestionEndpoint:
    """The endpoint; listens on a loopback port from ``__enter__`` or ``start`` until ``stop``.

    ``clock`` is what "48 h old" is measured against: pass the test's own where its events have fixed dates.
    ``remembers`` False: only the ids of what was accepted are kept, where a run sends gigabytes.
    ``tls`` makes a certificate for the run; let clients trust it with REQUESTS_CA_BUNDLE=``certificate``.
    """

    def __init__(
        self,
        *,
        key: str = KEY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        tls: bool = False,
        remembers: bool = True,
    ) -> None:
        self.key = key
        self._remembers = remembers
        self._clock = clock
        self._port = 0
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._tls = _Certificate() if tls else None
        self.reset()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._tls:
            self._tls.folder.cleanup()

    def start(self) -> None:
        """Listen; on the same port as before if this is a restart. Everything remembered stays."""
        self._server = _Server(self, self._port, self._tls.context if self._tls else None)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections and break those that are open."""
        server, self._server = self._server, None
        if server:
            server.stop()

    def reset(self) -> None:
        """Forget requests and script."""
        with self._lock:
            self._requests: list[Request] = []
            self._accepted: Counter[str | None] = Counter()
        self.script()

    def script(self, *steps: Mode | Callable[[int], Mode]) -> None:
        """Modes for the next requests in turn, then the service's; or one function of the request's number."""
        with self._lock:
            self._steps = steps
            self._served = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def connection_string(self) -> str:
        # The trailing slash is as in real ones.
        return f"InstrumentationKey={self.key};IngestionEndpoint={self.url}/;LiveEndpoint={self.url}/"

    @property
    def certificate(self) -> Path:
        if self._tls is None:
            raise ValueError("IngestionEndpoint(tls=True) has a certificate, this one has none")
        return self._tls.path

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    @property
    def items(self) -> list[dict]:
        """Every item that arrived, in order, accepted or not."""
        return [item for request in self.requests for item in request.items]

    @property
    def arrivals(self) -> Counter[str | None]:
        """How often each event id arrived, accepted or not."""
        return Counter(event_id(item) for item in self.items)

    @property
    def accepted(self) -> Counter[str | None]:
        """How often each event id was accepted, whatever the client was told."""
        with self._lock:
            return self._accepted.copy()

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """One request, from bytes to reply; public so that a test may do without a socket."""
        items = _parse(body, headers)
        with self._lock:
            self._served += 1
            request = Request(
                number=self._served, path=path, headers=headers, raw_length=len(body), items=items or []
            )
            if self._remembers:
                self._requests.append(request)
            mode = self._mode(request.number)
        if mode is service and "/" + path.lstrip("/") not in PATHS:
            return Reply(status=404)
        if mode is service and items is None:
            return Reply(status=400, body=_receipt(0, 0, []))
        reply = mode.reply(self, request)
        with self._lock:
            self._accepted.update(event_id(request.items[index]) for index in reply.accepts)
        return reply

    def check(self, request: Request) -> Reply:
        """As the service: 200 if every item is good, 400 if none is, else 206; the bad ones by index."""
        faults = {index: self._fault(item) for index, item in enumerate(request.items)}
        errors = [
            {"index": index, "statusCode": 400, "message": fault} for index, fault in faults.items() if fault
        ]
        good = [index for index, fault in faults.items() if not fault]
        code = 200 if not errors else 206 if good else 400
        return Reply(status=code, body=_receipt(len(faults), len(good), errors), accepts=good)

    def _mode(self, number: int) -> Mode:
        steps = self._steps
        if len(steps) == 1 and not isinstance(steps[0], Mode):
            return steps[0](number)
        if number <= len(steps):
            return steps[number - 1]
        return steps[-1] if steps and steps[-1].lasting else service

    def _fault(self, item: Mapping) -> str | None:
        if item.get("iKey") != self.key:
            return "Invalid instrumentation key"
        for what in ("name", "time"):
            if not item.get(what):
                return f"109: Field '{what}' on type 'Envelope' is required but missing or empty."
        return self._time_fault(item["time"]) or _data_fault(item.get("data") or {})

    def _time_fault(self, text: str) -> str | None:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return "105: Field 'time' on type 'Envelope' is of incorrect format."
        now = self._clock()
        if moment < now - timedelta(hours=48):
            return TOO_OLD
        return TOO_NEW if moment > now + timedelta(hours=2) else None


def _data_fault(data: Mapping) -> str | None:
    base = data.get("baseData") or {}
    if data.get("baseType") != "EventData" or not base.get("name"):
        return "109: Field 'name' on type 'EventData' is required but missing or empty."
    if len(base["name"]) > 512:
        return "101: Field 'name' on type 'EventData' is too long."
    properties, measurements = base.get("properties") or {}, base.get("measurements") or {}
    if any(len(key) > 150 for key in (*properties, *measurements)):
        return "101: a name on type 'EventData' is too long."
    # The service echoes what it dislikes, so that tests can see whether that travels on.
    for key, value in properties.items():
        if not isinstance(value, str) or len(value) > 8192:
            return f"101: Field '{key}' on type 'EventData' is not a text of up to 8192 characters: {value}"
    if not all(isinstance(number, int | float) for number in measurements.values()):
        return "105: Field 'measurements' on type 'EventData' is of incorrect format."
    return None


def _parse(body: bytes, headers: Mapping[str, str]) -> list[dict] | None:
    """A JSON array, one object, or one object a line; None for anything else."""
    try:
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = [json.loads(line) for line in body.splitlines() if line.strip()]
    except (ValueError, OSError, EOFError):
        return None
    items = parsed if isinstance(parsed, list) else [parsed]
    return items if items and all(isinstance(item, dict) for item in items) else None


def _receipt(received: int, accepted: int, errors: list[dict]) -> bytes:
    body = {"itemsReceived": received, "itemsAccepted": accepted, "appId": None, "errors": errors}
    return json.dumps(body).encode()


def _all_accepted(request: Request, *, breaks: str) -> Reply:
    count = len(request.items)
    return Reply(body=_receipt(count, count, []), accepts=range(count), breaks=breaks)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, endpoint: IngestionEndpoint, port: int, tls: ssl.SSLContext | None) -> None:
        self.endpoint = endpoint
        self.tls = tls
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def finish_request(self, request: socket.socket, client_address: object) -> None:
        """In the connection's own thread: a TLS handshake must not hold up the others."""
        with contextlib.suppress(OSError):  # the client gave up, or does not trust us
            connection = self.tls.wrap_socket(request, server_side=True) if self.tls else request
            with self._guard:
                self._open.add(connection)
            try:
                super().finish_request(connection, client_address)
            finally:
                with self._guard:
                    self._open.discard(connection)
                connection.close()

    def stop(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        with self._guard:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise clients that keep connections alive wait 40 ms for a delayed ACK.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = self.server.endpoint.answer(self.path, dict(self.headers), body)
        self.close_connection = reply.breaks is not None
        if reply.breaks == "before":
            # Lingering for 0 s makes the close a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if reply.breaks == "hang":
            self._await_hang_up()
        self.send_response_only(reply.status)
        headers = {
            "Date": self.date_time_string(),
            "Content-Type": "application/json; charset=utf-8",
            "Content-Length": str(len(reply.body)),
            **reply.headers,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if reply.breaks == "middle" else reply.body)
        self.wfile.flush()

    def _await_hang_up(self) -> None:
        self.connection.settimeout(0)
        try:
            while not self.server.closing.wait(0.005):
                with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                    if not self.connection.recv(1):
                        return
        finally:
            self.connection.settimeout(None)

    def log_message(self, *_: object) -> None:
        """Quiet: pytest shows what the endpoint remembers."""


class _Certificate:
    """A self-signed certificate for 127.0.0.1, good for a day."""

    def __init__(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "endpoint.pem"
        pem = serialization.Encoding.PEM
        plain = serialization.NoEncryption()
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        self.path.write_bytes(private + certificate.public_bytes(pem))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.path)
