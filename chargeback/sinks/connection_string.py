"""Where telemetry may go, and as whom: connection string, redirects, Entra identity."""

import re
import threading
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest, HttpResponse
from msgspec import Struct

from chargeback.errors import UsageError

TRACK_PATH = "/v2.1/track"
GLOBAL_ENDPOINT = "https://dc.services.visualstudio.com"
# The double slash is what Microsoft's own exporters ask for; the audience ends in one.
DEFAULT_AUDIENCE = "https://monitor.azure.com/"
TOKEN_MARGIN_S = 300

INGESTION_SUFFIXES = (
    ".applicationinsights.azure.com",
    ".services.visualstudio.com",
    ".monitor.azure.com",
    ".applicationinsights.azure.us",
    ".applicationinsights.azure.cn",
)
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_KEY = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Narrower than the RFC on purpose. Parsers disagree about user names and backslashes: of
# https://evil.example\.monitor.azure.com/ urllib.parse reports a host under our suffix, urllib3 dials evil.example.
_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?(/[!-\[\]-~]*)?")


class Destination(Struct, frozen=True, kw_only=True):
    """What a connection string says."""

    instrumentation_key: str
    url: str
    """Of the track resource; ``http`` only if the operator wrote so."""
    scope: str
    """For Entra tokens; another one per sovereign cloud (``AADAudience``)."""

    @property
    def is_plain(self) -> bool:
        return not self.url.startswith("https://")

    @property
    def is_loopback(self) -> bool:
        return urlsplit(self.url).hostname in LOOPBACK


def parse_connection_string(text: str) -> Destination:
    """Read ``InstrumentationKey=...;IngestionEndpoint=...``; ``UsageError`` names the part that is wrong."""
    parts = _parts(text, "APPLICATIONINSIGHTS_CONNECTION_STRING")
    key = parts.get("instrumentationkey", "")
    if not _KEY.fullmatch(key):
        raise UsageError(
            "APPLICATIONINSIGHTS_CONNECTION_STRING: InstrumentationKey is "
            f"{'no GUID' if key else 'missing'}; copy the string from the component's overview page"
        )
    endpoint = _endpoint(parts)
    if not _URL.fullmatch(endpoint):
        raise UsageError(
            "APPLICATIONINSIGHTS_CONNECTION_STRING: IngestionEndpoint is no http(s) URL of a plain host name; "
            "copy the string from the component's overview page"
        )
    audience = parts.get("aadaudience", DEFAULT_AUDIENCE)
    # Real strings end in a slash; two packages therefore post to //v2.1/track.
    return Destination(
        instrumentation_key=key.lower(), url=endpoint.rstrip("/") + TRACK_PATH, scope=f"{audience}/.default"
    )


def redirect_target(url: str, location: str | None) -> str | None:
    """Where a 307 or 308 from ``url`` may lead; None when it must not be followed.

    Same scheme, and same host or both hosts Microsoft's: what we send names customers.
    """
    here = urlsplit(url)
    target = location or ""
    if target.startswith("/") and not target.startswith("//"):
        target = f"{here.scheme}://{here.netloc}{target}"
    if not _URL.fullmatch(target):
        return None
    there = urlsplit(target)
    if there.scheme != here.scheme or not _akin(here.hostname or "", there.hostname or ""):
        return None
    return target if there.path not in {"", "/"} else f"{there.scheme}://{there.netloc}{TRACK_PATH}"


def entra_credential(authentication: str) -> TokenCredential | None:
    """The managed identity of ``APPLICATIONINSIGHTS_AUTHENTICATION_STRING``; None when the text is blank.

    ``Authorization=AAD`` is the system's identity, with ``;ClientId=...`` a user-assigned one.
    """
    parts = _parts(authentication, "APPLICATIONINSIGHTS_AUTHENTICATION_STRING")
    if not parts:
        return None
    if parts.get("authorization", "").upper() != "AAD":
        raise UsageError(
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING: expected Authorization=AAD, "
            "optionally with ;ClientId=<client id of the managed identity>"
        )
    from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - brings msal; keyed set-ups never need it

    return ManagedIdentityCredential(client_id=parts.get("clientid"))


class NoTokenError(Exception):
    """The credential did not yield a token: nothing was sent."""


class BearerPolicy(SansIOHTTPPolicy[HttpRequest, HttpResponse]):
    """Entra tokens, cached until shortly before they end or until ``renew``.

    azure-core's own policy clears its cache on any thread's 401 while another thread reads it, and asks for no
    new token on 403, which is how a missing role shows.
    """

    def __init__(self, credential: TokenCredential, scope: str, clock: Callable[[], datetime]) -> None:
        self._credential = credential
        self._scope = scope
        self._clock = clock
        self._lock = threading.Lock()
        self._token: AccessToken | None = None

    def renew(self) -> None:
        with self._lock:
            self._token = None

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        if not request.http_request.url.startswith("https://"):
            raise NoTokenError("no token leaves over plain http")
        request.http_request.headers["Authorization"] = f"Bearer {self._current()}"

    def _current(self) -> str:
        with self._lock:
            if self._token is None or self._token.expires_on - TOKEN_MARGIN_S <= self._clock().timestamp():
                try:
                    self._token = self._credential.get_token(self._scope)
                except Exception as error:
                    # Whatever a credential raises, the events are safe with the caller. Its text may name secrets.
                    raise NoTokenError(type(error).__name__) from error
            return self._token.token


def _parts(text: str, setting: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals:
            raise UsageError(
                f"{setting}: expected Name=value pairs joined by semicolons; one pair has no '='"
            )
        parts[name.strip().lower()] = value.strip()
    return parts


def _endpoint(parts: dict[str, str]) -> str:
    if endpoint := parts.get("ingestionendpoint"):
        return endpoint
    if suffix := parts.get("endpointsuffix"):
        location = f"{parts['location']}." if parts.get("location") else ""
        return f"https://{location}dc.{suffix}"
    return GLOBAL_ENDPOINT


def _akin(here: str, there: str) -> bool:
    return here == there or (here.endswith(INGESTION_SUFFIXES) and there.endswith(INGESTION_SUFFIXES))
