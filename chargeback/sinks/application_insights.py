"""Confirmed delivery of customEvents: every item ends up confirmed, refused or unconfirmed, by the service's own word.

    events -> encode -> chunk -> post -> judge -> confirmed
                          ^                |----> refused      the service will never take it
                          |---- again -----|----> unconfirmed  unknown; the caller sends it later

No stock sender is usable: they drop on 206, spin on 503, or report success without one. So nothing here retries
or redirects but the loop in ``ApplicationInsights``, and nothing decides but the table in ``verdicts``. There are no
threads, no files, no hidden queue; what is not confirmed stays with the caller.
"""

import gzip
import random
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ServiceResponseError
from azure.core.pipeline import Pipeline
from azure.core.pipeline.policies import HeadersPolicy, UserAgentPolicy
from azure.core.rest import HttpRequest, HttpResponse
from msgspec import Struct

from chargeback import __version__, observe
from chargeback.errors import RejectError, UsageError
from chargeback.sinks.connection_string import (
    BearerPolicy,
    NoTokenError,
    parse_connection_string,
    redirect_target,
)
from chargeback.sinks.envelopes import EnvelopeBuilder, Origin, encode, with_applicationinsights
from chargeback.sinks.verdicts import Answer, Verdict, judge
from chargeback.telemetry import CustomEvent, Delivery, Refusal
from chargeback.wire import transport_to

# Undocumented by the service; 500 is what the .NET SDK sends.
CHUNK_ITEMS = 500
CHUNK_BYTES = 1_000_000
MAX_HOPS = 5
BACKOFF_S = 0.5
BACKOFF_CAP_S = 30.0

Wire: TypeAlias = "Pipeline[HttpRequest, HttpResponse]"


# One request


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds the service asks to wait; a date is measured on the service's own clock where it shows one."""
    told = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", told):
        return float(told)
    until = _http_date(told)
    if until is None:
        return None
    return max(0.0, (until - (_http_date(headers.get("Date", "")) or now)).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for digits past any calendar
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _keep_headers(request: object) -> object:
    """Passed as ``auth``: requests would otherwise replace our token with a password from the machine's ~/.netrc."""
    return request


# The loop


class Item(Struct, frozen=True):
    index: int
    """Place in what ``send`` was given."""
    body: bytes


class Run:
    """One ``send``: what has become of each event, and how much patience is left."""

    def __init__(self, count: int, deadline: float) -> None:
        self.count = count
        self.deadline = deadline
        self.ended = False
        self.confirmed: set[int] = set()
        self.refused: dict[int, Refusal] = {}
        self.last: Answer | None = None
        self.alarm: str | None = None
        self.sampled = False
        self.renewed = False
        self.fruitless = 0
        """Answers in a row that settled nothing."""

    def take(self, items: Sequence[Item], answer: Answer, verdict: Verdict) -> None:
        self.last, self.alarm = answer, verdict.alarm
        self.sampled |= verdict.sampled
        self.ended |= verdict.ends
        self.confirmed.update(items[position].index for position in verdict.confirmed)
        for refusal in verdict.refused:
            self.refuse(items[refusal.index].index, refusal.status, refusal.message)
        self.fruitless = 0 if verdict.confirmed or verdict.refused else self.fruitless + 1

    def refuse(self, index: int, status: int, message: str) -> None:
        self.refused[index] = Refusal(index=index, status=status, message=message)

    def delivery(self) -> Delivery:
        open_ = tuple(i for i in range(self.count) if i not in self.confirmed and i not in self.refused)
        return Delivery(
            sent=self.count,
            refused=tuple(refusal for _, refusal in sorted(self.refused.items())),
            unconfirmed=open_,
            retry_after_s=self.last.retry_after_s if open_ and self.last else None,
            # Of the last answer: a 401 that a new token healed is none. Sampled items are gone whatever followed.
            alarm=self.alarm or ("sampled" if self.sampled else None),
        )


class ApplicationInsights:
    """Sends customEvents and says of each what became of it. Usable from many threads at once.

    Plain http is for test endpoints and private networks; a token never travels over it. To a loopback endpoint
    requests then go without one, elsewhere the pair is refused.
    """

    def __init__(  # noqa: PLR0913 - what a transport depends on comes in by name, so that tests need no real time
        self,
        connection_string: str,
        *,
        clock: Callable[[], datetime],
        role: str = "azure-openai-chargeback",
        role_instance: str | None = None,
        builder: EnvelopeBuilder | None = None,
        credential: TokenCredential | None = None,
        compress: bool = False,
        deadline_s: float = 20.0,
        connect_timeout_s: float = 3.0,
        read_timeout_s: float = 15.0,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``clock`` dates envelopes and tokens. ``compress`` is off until somebody has seen Azure take gzip."""
        destination = parse_connection_string(connection_string)
        if credential is not None and destination.is_plain and not destination.is_loopback:
            raise UsageError(
                "APPLICATIONINSIGHTS_CONNECTION_STRING: IngestionEndpoint is plain http, over which no token is sent; "
                "use https or unset APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
            )
        self._origin = Origin(
            instrumentation_key=destination.instrumentation_key, role=role, role_instance=role_instance
        )
        self._home = self._url = destination.url
        self._bearer = (
            BearerPolicy(credential, destination.scope, clock)
            if credential is not None and not destination.is_plain
            else None
        )
        self._builder = builder or with_applicationinsights
        self._clock = clock
        self._compress = compress
        self._deadline_s = deadline_s
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._monotonic = monotonic
        self._wait = wait
        self._jitter = jitter
        # A request cut short by the deadline may have been accepted: too little time left is none.
        self._least_s = min(1.0, deadline_s / 10)
        # azure-core on RequestsTransport: "you should not consider this class as thread-safe". One per send.
        self._idle: deque[Wire] = deque()

    def send(self, events: Sequence[CustomEvent]) -> Delivery:
        """Deliver ``events``, or as many as the deadline allows. Never raises for what a service or network does."""
        run = Run(len(events), self._monotonic() + self._deadline_s)
        with self._wire() as wire:
            for chunk in self._chunks(events, run):
                self._deliver(chunk, run, wire)
                if run.ended:
                    break
        delivery = run.delivery()
        if delivery.unconfirmed or delivery.refused:
            observe.log(
                "telemetry.not_all_confirmed",
                sent=delivery.sent,
                refused=len(delivery.refused),
                unconfirmed=len(delivery.unconfirmed),
                last_answer=run.last.code if run.last else None,
                alarm=delivery.alarm,
            )
        return delivery

    def close(self) -> None:
        """Let go of idle connections."""
        while self._idle:
            self._idle.pop().__exit__()

    def _chunks(self, events: Sequence[CustomEvent], run: Run) -> Iterator[list[Item]]:
        """Requests' worth of encoded events, one at a time in memory; what breaks a limit is refused here."""
        now = self._clock()
        chunk: list[Item] = []
        size = 0
        for index, event in enumerate(events):
            try:
                body = encode(event, now=now, origin=self._origin, builder=self._builder)
            except RejectError as error:
                run.refuse(index, 400, f"item {index}: {error}")
                continue
            if chunk and (len(chunk) == CHUNK_ITEMS or size + len(body) >= CHUNK_BYTES):
                yield chunk
                chunk, size = [], 0
            chunk.append(Item(index, body))
            size += len(body) + 1
        if chunk:
            yield chunk

    def _deliver(self, chunk: list[Item], run: Run, wire: Wire) -> None:
        """Work a chunk off until each item is settled or the run has ended."""
        groups = [chunk]
        while groups and not run.ended:
            if run.deadline - self._monotonic() < self._least_s:
                run.ended = True
                return
            items = groups.pop()
            answer = self._post(items, run, wire)
            verdict = judge(answer, len(items))
            run.take(items, answer, verdict)
            self._renew_once(run)
            if verdict.waits and not run.ended:
                run.ended = not self._paused(run)
            groups += [[items[position] for position in again] for again in reversed(verdict.again)]

    def _paused(self, run: Run) -> bool:
        """Wait as told, else longer each time; False, at once, when the deadline would be over by then."""
        told = run.last.retry_after_s if run.last else None
        backoff = min(BACKOFF_CAP_S, BACKOFF_S * 2 ** max(0, run.fruitless - 1))
        pause = told or backoff * (0.5 + 0.5 * self._jitter())
        if run.deadline - self._monotonic() - pause < self._least_s:
            return False
        self._wait(pause)
        return True

    def _renew_once(self, run: Run) -> None:
        if run.alarm == "unauthorized" and self._bearer and not run.renewed:
            run.renewed = True
            self._bearer.renew()

    def _post(self, items: Sequence[Item], run: Run, wire: Wire) -> Answer:
        """One request, to wherever the service has moved; the move is kept for later requests while it works."""
        body = b"[" + b",".join(item.body for item in items) + b"]"
        if self._compress:
            body = gzip.compress(body, compresslevel=1, mtime=0)
        url = self._url
        for _ in range(MAX_HOPS + 1):
            answer = self._exchange(url, body, run, wire)
            if answer.code not in {307, 308}:
                self._url = self._home if answer.code in {404, "unreachable", "no_answer"} else url
                return answer
            target = redirect_target(url, answer.location)
            if target is None:
                self._url = self._home
                return Answer(code="foreign_redirect")
            url = target
        self._url = self._home
        return Answer(code="redirect_loop")

    def _exchange(self, url: str, body: bytes, run: Run, wire: Wire) -> Answer:
        left = max(run.deadline - self._monotonic(), self._least_s)
        connect_s = min(self._connect_timeout_s, left / 2)
        request = HttpRequest(
            "POST", url, content=body, headers={"Content-Type": "application/json; charset=utf-8"}
        )
        if self._compress:
            request.headers["Content-Encoding"] = "gzip"
        try:
            response = wire.run(
                request,
                connection_timeout=connect_s,
                read_timeout=min(self._read_timeout_s, left - connect_s),
                auth=_keep_headers,
            ).http_response
            content = response.content
        except NoTokenError:
            return Answer(code="no_token")
        except ServiceResponseError:
            # Timed out or cut off after it went out: perhaps accepted. It goes again, and readers drop the copy.
            return Answer(code="no_answer")
        except (AzureError, OSError, ValueError):
            # Refused, no such name, TLS, a body that does not decode, a garbled Content-Length (ValueError) ...
            return Answer(code="unreachable")
        return Answer(
            code=response.status_code,
            body=content,
            retry_after_s=retry_after_s(response.headers, self._clock()),
            location=response.headers.get("Location"),
        )

    @contextmanager
    def _wire(self) -> Generator[Wire]:
        try:
            wire = self._idle.pop()
        except IndexError:
            policies = [
                HeadersPolicy({"Accept": "application/json"}),
                UserAgentPolicy(f"azure-openai-chargeback/{__version__}"),
                *([self._bearer] if self._bearer else []),
            ]
            wire = Pipeline(transport_to(self._home), policies=policies)
        try:
            yield wire
        finally:
            self._idle.append(wire)
