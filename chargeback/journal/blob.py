"""Storage in one container of Azure Blob Storage: append blobs, block blobs, blob leases.

Who may write again after a lost response is decided by the callers of the ports, which look first. So
conditional requests go out once: a retry inside the SDK would meet its own success as a conflict.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobLeaseClient, ContainerClient, ExponentialRetry

from chargeback.errors import RetryError, UsageError
from chargeback.journal import paths
from chargeback.journal.blob_errors import translated
from chargeback.journal.journal import SEGMENT_BYTES
from chargeback.journal.ledger import JOURNALS, StorageLedger
from chargeback.ports import ABSENT, ANY, Extent, Lease, MovedError, Object
from chargeback.wire import transport_to

_Answer = TypeVar("_Answer")

_MAX_APPEND = 4 * 1024 * 1024
"""Of one block in every service version; newer ones take more."""
_MAX_APPENDS = 45_000
"""The service ends at 50,000."""
_EMULATOR_API = "2025-11-05"
"""Azurite refuses API versions newer than itself with 400; 3.35 knows this one, and nothing newer is used."""
_ONCE: dict[str, Any] = {"retry_total": 0}
_LEASE_SECONDS = (15, 60)
"""What the service grants."""


def ledger(
    container: ContainerClient,
    *,
    writer: str,
    now: Callable[[], datetime],
    segment_bytes: int = SEGMENT_BYTES,
) -> StorageLedger:
    """Open the ledger in ``container``, which the first write creates."""
    box = Container(container)

    def ends() -> dict[str, str]:
        # Ascending, so that the last segment's name and size are the mark.
        marks: dict[str, str] = {}
        for name, size in box.sizes(JOURNALS):
            folder, dated, segment = name.removeprefix(JOURNALS).partition("/date=")
            if dated:
                marks[folder] = f"{segment}:{size}"
        return marks

    return StorageLedger(
        BlobObjects(box),
        BlobLeases(box),
        lambda folder: BlobSegments(box, folder),
        ends,
        writer=writer,
        now=now,
        segment_bytes=segment_bytes,
    )


def by_connection_string(connection_string: str, container: str) -> ContainerClient:
    """Raises UsageError for a string that is none, without repeating it."""
    newest: dict[str, Any] = {"api_version": _EMULATOR_API} if is_emulator(connection_string) else {}
    try:
        url = ContainerClient.from_connection_string(connection_string, container).url
        return ContainerClient.from_connection_string(connection_string, container, **_options(url), **newest)
    except ValueError:
        raise UsageError(
            "storage: the connection string cannot be read; copy it whole from the account's access keys"
        ) from None


def by_url(container_url: str, credential: TokenCredential | None) -> ContainerClient:
    """``container_url`` may carry a SAS; then no credential is needed."""
    return ContainerClient.from_container_url(container_url, credential=credential, **_options(container_url))


def is_emulator(connection_string: str) -> bool:
    return "devstoreaccount1" in connection_string or "UseDevelopmentStorage=true" in connection_string


def by_identity(account_url: str, credential: TokenCredential, container: str) -> ContainerClient:
    return ContainerClient(account_url, container, credential=credential, **_options(account_url))


def _options(url: str) -> dict[str, Any]:
    # The SDK's own waits (15 s and up, three times) outlast a function's patience; ours is redelivery.
    quick = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=2, random_jitter_range=1)
    return {"retry_policy": quick, "transport": transport_to(url, connection_timeout=5, read_timeout=30)}


class Container:
    """The client, and every request's errors as ours."""

    def __init__(self, client: ContainerClient) -> None:
        self._client = client
        # Making one takes as long as signing a request; journals and cursors use theirs again and again.
        self._blobs = lru_cache(maxsize=64)(client.get_blob_client)

    def blob(self, path: str) -> BlobClient:
        return self._blobs(path)

    def names(self, prefix: str) -> list[str]:
        with translated(prefix, writes=False):
            try:
                return sorted(self._client.list_blob_names(name_starts_with=prefix))
            except ResourceNotFoundError:  # no container yet
                return []

    def sizes(self, prefix: str) -> list[tuple[str, int]]:
        """Return what ``names`` does, each with its bytes; both come from one listing."""
        with translated(prefix, writes=False):
            try:
                found = self._client.list_blobs(name_starts_with=prefix)
                return sorted((str(blob.name), int(blob.size or 0)) for blob in found)
            except ResourceNotFoundError:
                return []

    def written(self, prefix: str) -> dict[str, datetime]:
        with translated(prefix, writes=False):
            try:
                found = self._client.list_blobs(name_starts_with=prefix)
                return {str(blob.name): blob.last_modified for blob in found if blob.last_modified}
            except ResourceNotFoundError:
                return {}

    def making(self, request: Callable[[], _Answer]) -> _Answer:
        """Send a request that may be the first one: a blob cannot be missing where it is made."""
        try:
            return request()
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):
                self._client.create_container()
            return request()


class BlobSegments:
    max_append = _MAX_APPEND
    max_appends = _MAX_APPENDS

    def __init__(self, container: Container, folder: str) -> None:
        self._container = container
        self._folder = folder + "/"

    def names(self) -> list[str]:
        found = self._container.names(self._folder + "date=")
        return [name.removeprefix(self._folder) for name in found]

    def extent(self, name: str) -> Extent | None:
        with translated(name, writes=False):
            try:
                found = self._blob(name).get_blob_properties()
            except ResourceNotFoundError:
                return None
            return Extent(found.size, found.append_blob_committed_block_count or 0)

    def create(self, name: str) -> bool:
        blob = self._blob(name)
        try:
            with translated(name, writes=True):
                self._container.making(
                    lambda: blob.create_append_blob(match_condition=MatchConditions.IfMissing, **_ONCE)
                )
        except MovedError:
            return False
        return True

    def append(self, name: str, data: bytes, at: int) -> Extent:
        with translated(name, writes=True):
            # The position alone is the condition: a segment only grows, so its size is its version.
            # An ETag would also change with a lease or a tag, which move no byte.
            answer = self._blob(name).append_block(data, length=len(data), appendpos_condition=at, **_ONCE)
            return Extent(at + len(data), int(str(answer["blob_committed_block_count"])))

    def read(self, name: str, start: int, stop: int) -> bytes:
        if stop <= start:
            return b""  # no valid range: the service answers 416
        with translated(name, writes=False):
            return self._blob(name).download_blob(offset=start, length=stop - start).readall()

    def _blob(self, name: str) -> BlobClient:
        return self._container.blob(self._folder + name)


class BlobObjects:
    """Block blobs; what is ``about`` one is its metadata, percent-encoded because headers are ASCII."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def get(self, path: str) -> Object | None:
        paths.check(path)
        with translated(path, writes=False):
            try:
                stream = self._container.blob(path).download_blob()
            except ResourceNotFoundError:
                return None
            about = {key: unquote(value) for key, value in stream.properties.metadata.items()}
            return Object(stream.readall(), about, str(stream.properties.etag))

    def put(self, path: str, body: bytes, *, about: Mapping[str, str] | None = None, tag: str = ANY) -> str:
        paths.check(path)
        metadata = {key: quote(value, safe=_PLAIN) for key, value in (about or {}).items()}
        blob = self._container.blob(path)
        with translated(path, writes=True):
            answer = self._container.making(
                lambda: blob.upload_blob(body, metadata=metadata, **_conditions(tag))
            )
            return str(answer["etag"])

    def names(self, folder: str) -> list[str]:
        return self._container.names(folder)

    def written(self, folder: str) -> dict[str, datetime]:
        return self._container.written(folder)

    def delete(self, path: str) -> None:
        paths.check(path)
        with translated(path, writes=True), suppress(ResourceNotFoundError):
            self._container.blob(path).delete_blob()


_PLAIN = ":/,;=@"


def _conditions(tag: str) -> dict[str, Any]:
    if tag == ANY:
        return {"overwrite": True}  # a repeat changes nothing, so the SDK may
    if tag == ABSENT:
        return {"match_condition": MatchConditions.IfMissing, **_ONCE}
    return {"overwrite": True, "etag": tag, "match_condition": MatchConditions.IfNotModified, **_ONCE}


class BlobLeases:
    def __init__(self, container: Container) -> None:
        self._container = container

    def hold(self, name: str, seconds: int) -> AbstractContextManager[Lease] | None:
        path = f"leases/{paths.escape(name)}.lock"
        blob = self._container.blob(path)
        shortest, longest = _LEASE_SECONDS
        try:
            with suppress(MovedError), translated(path, writes=True):
                self._container.making(
                    lambda: blob.upload_blob(b"", match_condition=MatchConditions.IfMissing, **_ONCE)
                )
            with translated(path, writes=True):
                return _held(path, blob.acquire_lease(max(shortest, min(seconds, longest)), **_ONCE))
        except MovedError:
            return None


class _BlobLease:
    def __init__(self, path: str, client: BlobLeaseClient) -> None:
        self._path = path
        self._client = client

    def renew(self) -> None:
        with translated(self._path, writes=True):
            self._client.renew()


@contextmanager
def _held(path: str, client: BlobLeaseClient) -> Generator[Lease]:
    try:
        yield _BlobLease(path, client)
    finally:
        with suppress(RetryError), translated(path, writes=True):  # it runs out by itself
            client.release()
