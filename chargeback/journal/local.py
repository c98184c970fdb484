"""Storage in a folder, for a laptop, a test and a replay.

Every change is flushed (``fsync`` of the file, and of the folder for a new name) before the call
returns. Writers of several processes exclude each other by ``flock``, which ends with its process.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from chargeback.journal import files, paths
from chargeback.journal.journal import SEGMENT_BYTES
from chargeback.journal.ledger import JOURNALS, StorageLedger
from chargeback.ports import ABSENT, ANY, Extent, InDoubtError, Lease, MovedError, Object

_MAX_APPEND = 4 * 1024 * 1024


def ledger(
    root: Path, *, writer: str, now: Callable[[], datetime], segment_bytes: int = SEGMENT_BYTES
) -> StorageLedger:
    """Open the ledger in folder ``root``; nothing is created before the first write."""

    def ends() -> dict[str, str]:
        below = root / JOURNALS
        marks: dict[str, str] = {}
        for date in sorted(below.glob("kind=*/**/date=*")):
            folder = date.parent.relative_to(below).as_posix()
            sizes = [f"{file.name}:{file.stat().st_size}" for file in sorted(date.glob("[0-9]*.ndjson"))]
            marks[folder] = f"{date.name}/{sizes[-1]}" if sizes else date.name
        return marks

    return StorageLedger(
        LocalObjects(root),
        LocalLeases(root / "leases"),
        lambda folder: LocalSegments(root / folder),
        ends,
        writer=writer,
        now=now,
        segment_bytes=segment_bytes,
    )


class LocalSegments:
    max_append = _MAX_APPEND
    max_appends = 2**63
    """The size is the limit here: files don't count their appends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        with files.translated(self._folder):
            found = self._folder.glob("date=*/[0-9]*.ndjson")
            return sorted(file.relative_to(self._folder).as_posix() for file in found)

    def extent(self, name: str) -> Extent | None:
        with files.translated(self._folder / name):
            try:
                return Extent((self._folder / name).stat().st_size, 0)
            except FileNotFoundError:
                return None

    def create(self, name: str) -> bool:
        file = self._folder / name
        with files.translated(file):
            files.make_folder(file.parent)
            try:
                os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            except FileExistsError:
                return False
            files.flush_folder(file.parent)
            return True

    def append(self, name: str, data: bytes, at: int) -> Extent:
        file = self._folder / name
        with files.translated(file), files.opened(file, os.O_WRONLY | os.O_APPEND) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)  # until the file is closed
            size = os.fstat(handle).st_size
            if size != at:
                raise MovedError(f"{file} ends at {size}, not at {at}")
            try:
                _add(handle, data)
            except OSError as error:
                raise InDoubtError(f"{file}: {error.strerror}; a part may be written") from error
            return Extent(at + len(data), 0)

    def read(self, name: str, start: int, stop: int) -> bytes:
        with files.translated(self._folder / name), (self._folder / name).open("rb") as stream:
            stream.seek(start)
            return stream.read(max(0, stop - start))


def _add(handle: int, data: bytes) -> None:
    """Write the last line when all before it is on disk.

    A power cut may keep a later page of a file and lose an earlier one: the commit, which is the last
    line, must not outlive its rows.
    """
    last = data.rfind(b"\n", 0, -1) + 1
    for piece in (data[:last], data[last:]):
        if piece:
            files.write(handle, piece)
            os.fsync(handle)


class LocalObjects:
    """A file each; what is ``about`` it, in a hidden file beside it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, path: str) -> Object | None:
        file = self._file(path)
        with files.translated(file):
            try:
                body = file.read_bytes()
            except FileNotFoundError:
                return None
            return Object(body, _read_about(file), _tag(body))

    def put(self, path: str, body: bytes, *, about: Mapping[str, str] | None = None, tag: str = ANY) -> str:
        file = self._file(path)
        with files.translated(file):
            files.make_folder(file.parent)
            with files.opened(file.parent, os.O_RDONLY) as folder:
                fcntl.flock(folder, fcntl.LOCK_EX)  # one writer a folder, so look and write are one step
                self._check(file, tag)
                if not about:
                    _beside(file).unlink(missing_ok=True)
                else:
                    files.replace(_beside(file), json.dumps(dict(about), sort_keys=True).encode())
                files.replace(file, body)
                os.fsync(folder)
        return _tag(body)

    def _check(self, file: Path, tag: str) -> None:
        if tag == ANY:
            return
        found = _tag(file.read_bytes()) if file.exists() else ABSENT
        if found != tag:
            raise MovedError(f"{file} was changed since it was read")

    def names(self, folder: str) -> list[str]:
        with files.translated(self._root / folder):
            return sorted(file.relative_to(self._root).as_posix() for file in _visible(self._root / folder))

    def written(self, folder: str) -> dict[str, datetime]:
        times: dict[str, datetime] = {}
        for path in self.names(folder):
            with suppress(FileNotFoundError):  # deleted since
                times[path] = datetime.fromtimestamp((self._root / path).stat().st_mtime, UTC)
        return times

    def delete(self, path: str) -> None:
        file = self._file(path)
        with files.translated(file):
            file.unlink(missing_ok=True)
            _beside(file).unlink(missing_ok=True)

    def _file(self, path: str) -> Path:
        paths.check(path)
        return self._root / path


class LocalLeases:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hold(self, name: str, seconds: int) -> AbstractContextManager[Lease] | None:  # noqa: ARG002 - the lock ends with the process, never by time
        file = self._folder / f"{paths.escape(name)}.lock"
        with files.translated(file):
            files.make_folder(self._folder)
            handle = os.open(file, os.O_CREAT | os.O_RDWR, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return None
            return _held(handle)


class _LocalLease:
    def renew(self) -> None:
        """A lock does not run out."""


@contextmanager
def _held(handle: int) -> Generator[Lease]:
    try:
        yield _LocalLease()
    finally:
        os.close(handle)  # the file stays: unlinking it would let two hold two files of one name


def _visible(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if not file.name.startswith(".") and file.is_file())


def _beside(file: Path) -> Path:
    return file.with_name(f".{file.name}.about.json")


def _read_about(file: Path) -> Mapping[str, str]:
    try:
        return json.loads(_beside(file).read_bytes())
    except FileNotFoundError:
        return {}


def _tag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
