"""Changes to files that are on disk before anybody is told so, and what the system says when they fail."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from chargeback.errors import ChargebackError, RetryError, StopError
from chargeback.ports import MovedError

_NEEDS_OPERATOR = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
}


def write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def replace(file: Path, body: bytes) -> None:
    """Put a whole new file in the place of the old one; the caller flushes the folder."""
    fresh = file.with_name(f".{file.name}.new")
    with opened(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY) as handle:
        write(handle, body)
        os.fsync(handle)
    fresh.replace(file)


def make_folder(folder: Path) -> None:
    """Make it and what is missing above it; each new name is flushed in its parent."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    with opened(folder, os.O_RDONLY) as handle:
        os.fsync(handle)


@contextmanager
def opened(file: Path, flags: int) -> Generator[int]:
    handle = os.open(file, flags, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def translated(file: Path) -> Generator[None]:
    """Turn what the operating system says into what the caller must do."""
    try:
        yield
    except ChargebackError:
        raise
    except FileNotFoundError as error:
        raise MovedError(f"{file} is gone; it was deleted from outside") from error
    except OSError as error:
        if error.errno in _NEEDS_OPERATOR:
            raise StopError(f"{file}: {error.strerror}; choose a folder this user may write in") from error
        raise RetryError(f"{file}: {error.strerror}; free the disk or mount it, then try again") from error
