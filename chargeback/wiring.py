"""Settings to a running worker: the only place that chooses implementations and owns the clock."""

import functools
import os
import re
import socket
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from chargeback.errors import UsageError
from chargeback.outbox import Sender, WithAlias
from chargeback.pipeline import Context
from chargeback.ports import Ledger
from chargeback.rate_tables import RateTables
from chargeback.settings import Settings, StorageAccess
from chargeback.worker import PAUSE_S, Worker

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import ContainerClient

    from chargeback.sources.event_hub import Hub

CONTAINER = "container:"
"""Before a ledger's name: a container, whatever folders there are."""
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")


def now() -> datetime:
    return datetime.now(UTC)


def writer() -> str:
    """Name this process in commits: host and process id, enough to find who wrote."""
    return f"{socket.gethostname()}:{os.getpid()}"


def open_ledger(where: str | None, settings: Settings) -> Ledger:
    """Open a folder, or a container of the storage. Raises UsageError when neither is named."""
    where = where or settings.ledger
    if not where:
        raise UsageError(
            "no ledger: give --ledger FOLDER or set CHARGEBACK_LEDGER to a folder or a container"
        )
    if is_folder(where):
        from chargeback.journal import local  # noqa: PLC0415  one storage is enough

        return local.ledger(Path(where), writer=writer(), now=now)
    name = where.removeprefix(CONTAINER)
    if not _CONTAINER.fullmatch(name):
        raise UsageError(
            f"ledger {where!r}: expected a folder such as ./ledger, or a container's name: 3 to 63 lower-case "
            "letters, digits and single hyphens"
        )
    from chargeback.journal import blob  # noqa: PLC0415  only who has a container

    return blob.ledger(container_of(settings.storage_access, name), writer=writer(), now=now)


def is_folder(where: str) -> bool:
    """True for what looks like a path, and for a bare name where there is such a folder; else it is a container."""
    return not where.startswith(CONTAINER) and (_is_path(where) or Path(where).is_dir())


def may_be_both(where: str, settings: Settings) -> bool:
    """True for a bare name that is read as a folder, while the storage might have a container of that name."""
    return is_folder(where) and not _is_path(where) and settings.storage_access.is_known


def _is_path(where: str) -> bool:
    return any(sign in where for sign in "/\\.~")


def container_of(access: StorageAccess, name: str) -> "ContainerClient":
    """Return a client of a container of the storage. Raises UsageError when no storage is set."""
    from chargeback.journal import blob  # noqa: PLC0415  only who has a container

    if access.connection is not None:
        return blob.by_connection_string(access.connection.get_secret_value(), name)
    if access.url is not None:
        return blob.by_identity(access.url, identity(access.credential, access.client_id), name)
    raise UsageError(
        f"container {name!r}: no storage; set {access.setting} to a connection string, or "
        f"{access.setting}__blobServiceUri to the account's URL"
    )


def identity(credential: str | None, client_id: str | None) -> "TokenCredential":
    """Return the managed identity where ``__credential`` says so, else whoever is signed in here."""
    from azure.identity import (  # noqa: PLC0415  brings msal; keyed set-ups never need it
        DefaultAzureCredential,
        ManagedIdentityCredential,
    )

    if (credential or "").lower() == "managedidentity":
        return ManagedIdentityCredential(client_id=client_id)
    return DefaultAzureCredential(managed_identity_client_id=client_id)


def open_sender(settings: Settings) -> Sender | None:
    """Return the confirming transport, or None when telemetry is off or has nowhere to go."""
    if settings.telemetry == "none" or settings.application_insights is None:
        return None
    from chargeback.sinks import envelopes  # noqa: PLC0415  only if telemetry is on
    from chargeback.sinks.application_insights import ApplicationInsights  # noqa: PLC0415  only if telemetry is on
    from chargeback.sinks.connection_string import entra_credential  # noqa: PLC0415  only if telemetry is on

    opencensus = settings.telemetry == "opencensus"
    transport = ApplicationInsights(
        settings.application_insights.get_secret_value(),
        clock=now,
        role_instance=writer(),
        builder=envelopes.opencensus_builder() if opencensus else envelopes.with_applicationinsights,
        credential=entra_credential(settings.application_insights_authentication or ""),
        deadline_s=settings.telemetry_deadline_s,
    )
    return WithAlias(transport) if settings.event_alias else transport


def context_of(settings: Settings, ledger: Ledger) -> Callable[[], Context]:
    """Return what gives each batch its snapshot: privacy, join timeout and the rate table of now."""
    read, source = rates_of(settings)
    tables = RateTables(read, source, ledger, monotonic=time.monotonic)
    privacy = settings.privacy

    def context() -> Context:
        return Context(privacy=privacy, table=tables.current(), join_timeout=settings.join_timeout)

    return context


def rates_of(settings: Settings) -> tuple[Callable[[], str], str]:
    """Return what reads the rate table's text, and its name: a file, a blob's URL or ``container/path``."""
    where = settings.rates
    if not where:
        raise UsageError(
            "no rate table: set CHARGEBACK_RATES to the table's file, its blob's URL or container/path"
        )
    if where.startswith(("https://", "http://")):
        return _blob_text(*_client_at(where, settings, "CHARGEBACK_RATES"))
    container, slash, path = where.partition("/")
    in_storage = slash and _CONTAINER.fullmatch(container) and settings.storage_access.is_known
    if in_storage and not Path(where).is_file():
        return _blob_text(container_of(settings.storage_access, container), path, where)
    return functools.partial(_file_text, where), where


def _file_text(where: str) -> str:
    try:
        return Path(where).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"CHARGEBACK_RATES: {where} cannot be read: {reason}") from None


def _client_at(url: str, settings: Settings, what: str) -> "tuple[ContainerClient, str, str]":
    """Split a blob's URL; its account's own key is used where the storage setting is of the same account."""
    from chargeback.journal import blob  # noqa: PLC0415  only who has a container

    place = urlsplit(url)
    # The emulator's first segment is its account.
    account = "/devstoreaccount1" if place.path.startswith("/devstoreaccount1/") else ""
    container, _, path = place.path.removeprefix(account).lstrip("/").partition("/")
    if not (_CONTAINER.fullmatch(container) and path):
        raise UsageError(f"{what}: expected https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH")
    base, name = f"{place.scheme}://{place.netloc}{account}", f"{place.netloc}/{container}/{path}"
    access = settings.storage_access
    if not place.query and access.connection is not None:
        own = container_of(access, container)
        if own.primary_endpoint.split("?")[0].startswith(f"{base}/"):
            return own, unquote(path), name
    query = f"?{place.query}" if place.query else ""
    credential = None if place.query else identity(access.credential, access.client_id)
    return blob.by_url(f"{base}/{container}{query}", credential), unquote(path), name


def _blob_text(client: "ContainerClient", path: str, name: str) -> tuple[Callable[[], str], str]:
    from chargeback.journal import blob  # noqa: PLC0415  only who has a container

    objects = blob.BlobObjects(blob.Container(client))

    def read() -> str:
        found = objects.get(path)
        if found is None:
            raise UsageError(f"rate table {name}: there is no such blob; check CHARGEBACK_RATES")
        return found.body.decode("utf-8")

    return read, name


def hub_of(settings: Settings) -> "Hub":
    """Return the hub of the settings. Raises UsageError with what is missing."""
    from chargeback.sources.event_hub import Hub  # noqa: PLC0415  only who has a hub

    connection = settings.event_hub_connection
    namespace, name = settings.event_hub_namespace, settings.event_hub_name
    if connection is not None:
        from azure.eventhub import parse_connection_string  # noqa: PLC0415  half a second, for who consumes

        try:
            parts = parse_connection_string(connection.get_secret_value())
        except ValueError:
            raise UsageError(
                "EVENT_HUB_CONNECTION: cannot be read; copy the whole connection string from a shared access policy"
            ) from None
        namespace, name = parts.fully_qualified_namespace, name or parts.eventhub_name
    if not namespace:
        raise UsageError(
            "no event hub: set EVENT_HUB_CONNECTION to a connection string, or "
            "EVENT_HUB_CONNECTION__fullyQualifiedNamespace to a host name"
        )
    if not name:
        raise UsageError("no event hub: set EVENT_HUB_NAME")
    return Hub(
        namespace=namespace.rstrip("/").lower(),
        name=name.lower(),
        connection=connection.get_secret_value() if connection else None,
        credential=settings.event_hub_credential,
        client_id=settings.event_hub_client_id,
    )


@contextmanager
def fetched(paths: Sequence[Path], settings: Settings) -> Generator[list[Path]]:
    """Yield the paths, with blobs' URLs replaced by copies that live as long as the block.

    A URL may name one blob or everything below a folder. Names are kept, for the layout of Capture tells
    which partition a file is of.
    """
    with tempfile.TemporaryDirectory(prefix="chargeback-") as folder:
        yield [_copied(str(path), settings, Path(folder)) if _is_url(path) else path for path in paths]


def _is_url(path: Path) -> bool:
    return str(path).startswith(("https:/", "http:/"))


def _copied(url: str, settings: Settings, folder: Path) -> Path:
    from chargeback.journal import blob  # noqa: PLC0415  only who has a container

    scheme, _, rest = url.partition(":/")  # a path has lost one of the two slashes
    client, path, name = _client_at(f"{scheme}://{rest.lstrip('/')}", settings, "blob URL")
    prefix = path.rstrip("/")
    box = blob.Container(client)
    objects = blob.BlobObjects(box)
    found = [each for each in box.names(prefix) if each == prefix or each.startswith(f"{prefix}/")]
    if not found:
        raise UsageError(f"{name}: there is no such blob, and none below it")
    for each in found:
        kept = objects.get(each)
        if kept is not None:
            file = folder / client.container_name / each
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(kept.body)
    return folder / client.container_name / prefix


def make_worker(settings: Settings, *, ledger: Ledger | None = None, sender: Sender | None = None) -> Worker:
    """Put the worker together; nothing is read or connected before the first batch.

    ``ledger`` and ``sender``: those of a host that watches what goes through them.
    """
    ledger = ledger or open_ledger(None, settings)
    return Worker(
        ledger,
        context_of(settings, ledger),
        sender or open_sender(settings),
        now=now,
        monotonic=time.monotonic,
        budget_s=settings.telemetry_deadline_s,
        pause_s=min(PAUSE_S, settings.settle_s),
        keep_letters=timedelta(days=settings.dead_letter_days),
    )


@functools.cache
def settings() -> Settings:
    return Settings.load()


@functools.cache
def worker() -> Worker:
    """Return this process's worker, made on first use: importing a host must touch nothing."""
    return make_worker(settings())
