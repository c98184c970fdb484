"""What blob storage says, or does not say, as what the caller must do."""

from collections.abc import Generator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError, ServiceResponseError

from chargeback.errors import RetryError, StopError
from chargeback.ports import InDoubtError, MovedError

# 409 where a blob exists already, 412 where a condition fails: the service is not consistent which, and
# both say that somebody else was first. 404: the thing to change is gone.
_MOVED = {404, 409, 412}
_FORBIDDEN = {401, 403}
_TRANSIENT = {408, 429}


@contextmanager
def translated(path: str, *, writes: bool) -> Generator[None]:
    """Turn what the service says into what the caller must do.

    Never with the exception's own text, nor chained to it: it may hold the URL with its SAS.
    """
    try:
        yield
    except HttpResponseError as error:
        problem = _answered(path, error, writes=writes)
    except ServiceResponseError as error:  # sent, then a time-out or a reset
        problem = _unreachable(path, error, doubt=writes)
    except AzureError as error:
        problem = _unreachable(path, error, doubt=False)
    else:
        return
    raise problem from None


def _answered(path: str, error: HttpResponseError, *, writes: bool) -> Exception:
    status = error.status_code
    if status is None:  # no token, a broken or unreadable answer
        return _unreachable(path, error, doubt=writes)
    code = getattr(error, "error_code", None)
    told = f"blob storage, {path!r}: answered {status} {getattr(code, 'value', code)}"
    if status in _MOVED:
        return MovedError(f"{told}: somebody else was first, or it is gone")
    if status in _FORBIDDEN:
        return StopError(
            f"{told}: give this identity the role Storage Blob Data Contributor on the container, or mend the "
            "key and the network rules of the account"
        )
    if status >= 500 or status in _TRANSIENT:
        return (InDoubtError if writes else RetryError)(f"{told}: try again")
    return StopError(f"{told}: the request itself is refused; check the setting of the ledger's storage")


def _unreachable(path: str, error: AzureError, *, doubt: bool) -> RetryError:
    kind = type(error).__name__
    if doubt:
        return InDoubtError(f"blob storage, {path!r}: no answer ({kind}); it may be written")
    return RetryError(
        f"blob storage, {path!r}: out of reach ({kind}); check the account's name, network and identity, then "
        "try again (hosts do so by themselves)"
    )
