"""The machine, and what the worker reads and writes: Python, clock, rate table, vocabulary, storage."""

import http.client
import importlib.util
import platform
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from chargeback.cli.checkups.patient import Patient
from chargeback.cli.checkups.verdicts import AdviceError, SkippedError, TroubleError
from chargeback.rates.load import faults, parse
from chargeback.settings import Settings
from chargeback.sinks.connection_string import parse_connection_string
from chargeback.wiring import CONTAINER, container_of, is_folder, may_be_both, now, rates_of

_CONNECT_S = 5
_MOST_SKEW_S = 60
"""Entra refuses tokens of a clock that is five minutes off; a minute is noticed before that."""


def python(patient: Patient) -> str:
    missing = [name for name in ("aiohttp", "azure.eventhub.extensions") if not _is_there(name)]
    if patient.settings.telemetry == "opencensus" and not _is_there("opencensus"):
        raise TroubleError(
            "CHARGEBACK_TELEMETRY=opencensus needs its extra: pip install 'azure-openai-chargeback[opencensus]' "
            "(Python below 3.13)"
        )
    extras = "cli and consumer" if not missing else "cli; `consume` also needs [consumer]"
    return f"{platform.python_version()}, extras {extras}"


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def clock(patient: Patient) -> str:
    """Compare with the Date header of whatever server the settings name; its answer itself does not matter."""
    for url in _servers(patient.settings):
        at = _date_of(url)
        if at is None:
            continue
        skew = round((now() - at).total_seconds())
        if abs(skew) > _MOST_SKEW_S:
            raise TroubleError(
                f"this clock is {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} {urlsplit(url).hostname}; "
                "synchronise it (NTP): tokens and time stamps depend on it"
            )
        return f"within {_MOST_SKEW_S} s of {urlsplit(url).hostname}"
    raise SkippedError("no server of the settings tells the time")


def _servers(settings: Settings) -> list[str]:
    servers: list[str] = []
    if settings.storage_access.is_known:
        servers.append(str(container_of(settings.storage_access, "clock").url))
    if settings.telemetry != "none" and settings.application_insights is not None:
        servers.append(parse_connection_string(settings.application_insights.get_secret_value()).url)
    return servers


def _date_of(url: str) -> datetime | None:
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname or "", place.port, timeout=_CONNECT_S)
    try:
        connection.request("HEAD", "/")
        told = connection.getresponse().getheader("Date")
        return parsedate_to_datetime(told).astimezone(UTC) if told else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def rates(patient: Patient) -> str:
    read, source = rates_of(patient.settings)
    text = read()
    told = f"{source}, version {parse(text, source=source).version}"
    warnings = [each for each in faults(text, source=source, today=now().date()) if each.severity != "error"]
    if warnings:
        raise AdviceError(f"{told}; {len(warnings)} warnings, the first: {warnings[0].told(source)}")
    return told


def vocabulary(_: Patient) -> str:
    from chargeback.tokens.encodings import tokens_of  # noqa: PLC0415  it takes a second

    for name in ("cl100k_base", "o200k_base"):
        tokens_of("one", name)
    return "cl100k_base and o200k_base can be read"


def storage(patient: Patient) -> str:
    where = patient.settings.ledger
    held = patient.ledger.leases.hold("doctor", 15)
    if held is None:
        return f"{where} can be written (another doctor is there)"
    with held:
        kind = "folder" if where and is_folder(where) else "container"
        name = (where or "").removeprefix(CONTAINER)
        told = f"{kind} {name} can be written, {len(patient.ledger.journals())} journals"
    if where and may_be_both(where, patient.settings):
        raise AdviceError(
            f"{told}; {where!r} could also be a container of {patient.settings.storage}: set CHARGEBACK_LEDGER to "
            f"./{where} for the folder, to {CONTAINER}{where} for the container"
        )
    return told
