"""A customEvent as the ingestion endpoint wants it: checked, dated, and the same bytes whichever package builds it."""

import importlib
import logging
import math
import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Protocol, cast

import msgspec
from applicationinsights.channel import contracts as _untyped  # pyright: ignore[reportMissingTypeStubs] - has none
from msgspec import Struct

from chargeback import __version__
from chargeback.errors import RejectError, UsageError
from chargeback.telemetry import KEY_LIMIT, NAME_LIMIT, VALUE_LIMIT, CustomEvent

# The one door to the untyped package; `_frame` gives its output a shape again.
contracts = cast("Any", _untyped)

ITEM_BYTES = 64 * 1024
# The service refuses items older than 48 h or more than 2 h ahead (its codes 103 and 104).
# An hour of margin outlasts any send, clock skew included.
OLDEST = timedelta(hours=47)
NEWEST = timedelta(hours=1)


class Origin(Struct, frozen=True, kw_only=True):
    """Who sends: the same on every envelope.

    Without a role instance two instances that send the same event send the same bytes.
    """

    instrumentation_key: str
    role: str
    role_instance: str | None = None

    @property
    def tags(self) -> dict[str, str]:
        instance = {"ai.cloud.roleInstance": self.role_instance} if self.role_instance else {}
        return {
            "ai.cloud.role": self.role,
            **instance,
            "ai.internal.sdkVersion": f"py-chargeback:{__version__}",
        }


class EnvelopeBuilder(Protocol):
    """Puts an event into a package's envelope; its names and types are taken, what else it adds is dropped."""

    def __call__(self, event: CustomEvent, instrumentation_key: str, /) -> Mapping[str, Any]: ...


def encode(event: CustomEvent, *, now: datetime, origin: Origin, builder: EnvelopeBuilder) -> bytes:
    """One envelope as JSON.

    ``RejectError`` when the service would refuse the event or, worse, cut it: a cut billing record looks whole.
    """
    _check_length("the event's name", event.name, NAME_LIMIT)
    event = _dated(event, now)
    frame = _frame(builder, origin, event.name)
    body = msgspec.json.encode(
        {
            "ver": 1,
            "name": frame.name,
            "time": _iso(event.occurred_at),
            "sampleRate": 100.0,
            "iKey": frame.key,
            "tags": frame.tags,
            "data": {
                "baseType": frame.base_type,
                "baseData": {
                    "ver": 2,
                    "name": frame.base_name,
                    "properties": _properties(event.properties),
                    "measurements": _measurements(event.measurements),
                },
            },
        }
    )
    if len(body) > ITEM_BYTES:
        raise RejectError("telemetry_limit", f"{len(body)} bytes as an envelope, the limit is {ITEM_BYTES}")
    return body


class _Frame(Struct, frozen=True):
    """What the package's envelope is for every event of one name; the rest is the event's own."""

    name: str
    key: str
    base_type: str
    base_name: str
    tags: Mapping[str, str]


@lru_cache(maxsize=32)
def _frame(builder: EnvelopeBuilder, origin: Origin, name: str) -> _Frame:
    """Ask the package once for each name: for a charge its classes take ten times what everything else does.

    Packages differ in device tags, ``ver``, ``sampleRate`` and how they leave out what is empty. A resent
    event must not differ from its first copy because somebody changed the builder.
    """
    empty = CustomEvent(name=name, event_id="", occurred_at=datetime(2000, 1, 1, tzinfo=UTC), properties={})
    envelope = builder(empty, origin.instrumentation_key)
    data = envelope["data"]
    return _Frame(
        name=envelope["name"],
        key=envelope["iKey"],
        base_type=data["baseType"],
        base_name=data["baseData"]["name"],
        tags=origin.tags,
    )


def with_applicationinsights(event: CustomEvent, instrumentation_key: str, /) -> Mapping[str, Any]:
    """The default builder: the package's data contracts, none of its channel, threads or senders."""
    data = contracts.EventData()
    data.name = event.name
    data.properties = dict(event.properties)
    data.measurements = dict(event.measurements)
    envelope = contracts.Envelope()
    envelope.name = data.ENVELOPE_TYPE_NAME
    envelope.time = _iso(event.occurred_at)
    envelope.ikey = instrumentation_key
    envelope.data = contracts.Data()
    envelope.data.base_type = data.DATA_TYPE_NAME
    envelope.data.base_data = data
    return envelope.write()


def opencensus_builder() -> EnvelopeBuilder:
    """The builder of the extra ``opencensus``; ``UsageError`` when that is not installed.

    Its handler is made without running ``__init__``, which would start an exporter thread, a folder of retry
    files and usage reports to Microsoft. Making an envelope needs only options and a formatter.
    """
    exporter = _opencensus()

    @cache
    def handler(instrumentation_key: str) -> Any:
        bare = exporter.AzureEventHandler.__new__(exporter.AzureEventHandler)
        bare.options = exporter.Options(connection_string=f"InstrumentationKey={instrumentation_key}")
        bare.formatter = logging.Formatter()
        return bare

    def build(event: CustomEvent, instrumentation_key: str, /) -> Mapping[str, Any]:
        record = logging.makeLogRecord(
            {
                "msg": event.name,
                "created": event.occurred_at.timestamp(),
                "custom_dimensions": dict(event.properties),
                "custom_measurements": dict(event.measurements),
            }
        )
        return handler(instrumentation_key).log_record_to_envelope(record)

    return build


def _dated(event: CustomEvent, now: datetime) -> CustomEvent:
    """The event at a time the service accepts; the call's own time stays what the properties say."""
    if now - OLDEST < event.occurred_at < now + NEWEST:
        return event
    return msgspec.structs.replace(
        event, occurred_at=now, properties={**event.properties, "TimeClamped": "true"}
    )


def _properties(properties: Mapping[str, object]) -> Mapping[str, object]:
    """In a fixed order, as texts. Raises RejectError for what is too long or cannot be said."""
    names = tuple(properties)
    ordered = _in_order("property", names)
    if names != ordered:
        properties = {name: properties[name] for name in ordered}
    try:
        together = "".join(cast("Iterable[str]", properties.values()))
    except TypeError:  # not all of them are texts
        properties = {name: _text(value) for name, value in properties.items()}
        together = "".join(properties.values())
    # One look at all of them: few events hold anything that needs a second one. A character is two units at most.
    if 2 * len(together) > VALUE_LIMIT or not _is_sound(together):
        for name, value in properties.items():
            _check_length(f"property {name!r}", str(value), VALUE_LIMIT, may_be_empty=True)
    return properties


def _measurements(measurements: Mapping[str, float]) -> Mapping[str, float]:
    if not all(map(math.isfinite, measurements.values())):
        name = next(name for name, number in measurements.items() if not math.isfinite(number))
        raise RejectError("telemetry_limit", f"measurement {name!r} is not finite, which JSON cannot say")
    names = tuple(measurements)
    ordered = _in_order("measurement", names)
    return measurements if names == ordered else {name: measurements[name] for name in ordered}


@lru_cache(maxsize=64)
def _in_order(what: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Sort and check the names; there are few sets of them."""
    for name in names:
        _check_length(f"the name of {what} {name[:40]!r}", name, KEY_LIMIT)
    return tuple(sorted(names))


def _check_length(what: str, text: str, limit: int, *, may_be_empty: bool = False) -> None:
    """Never names the value. Counts as .NET does, in UTF-16 units: an emoji is two."""
    if not text and not may_be_empty:
        raise RejectError("telemetry_limit", f"{what} is empty")
    length = len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
    if length > limit:
        raise RejectError("telemetry_limit", f"{what} has {length} characters, the limit is {limit}")
    if not _is_sound(text):
        raise RejectError("telemetry_limit", f"{what} holds half a surrogate pair, which UTF-8 cannot say")


def _is_sound(text: str) -> bool:
    """False for text with half a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _iso(moment: datetime) -> str:
    told = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return told.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _opencensus() -> Any:
    try:
        with warnings.catch_warnings():
            # On import it reads the locale and the time in ways that Python deprecates, for tags and statistics
            # that we do not use. It is retired, so nobody will mend that.
            for call in (r"locale\.getdefaultlocale", r"datetime\.utcnow"):
                warnings.filterwarnings("ignore", f".*{call}", DeprecationWarning)
            return importlib.import_module("opencensus.ext.azure.log_exporter")
    except ImportError as error:
        raise UsageError(
            "CHARGEBACK_TELEMETRY=opencensus needs the extra 'opencensus': "
            "pip install 'azure-openai-chargeback[opencensus]' on Python 3.11 or 3.12, "
            "or set CHARGEBACK_TELEMETRY=applicationinsights, which sends the same envelopes"
        ) from error
