"""Which answers Azure charges for when no usage was reported: a policy, kept as data.

Azure: "If the service performs processing, you're charged even if the status code isn't successful
(not 200)": a content filter or an input limit (400) and a timeout (408) are charged, 401 and 429 are
not (learn.microsoft.com, "Plan and manage costs for Azure OpenAI"). 5xx is not stated there, so it is
not billable unless the table's policy lists ``5xx``.
"""

from collections.abc import Collection

from msgspec import Struct

# A status, a class of them, or a status with the error it must carry.
BILLABLE_STATUS = ("2xx", "400:content_filter", "400:context_length_exceeded", "408")

# Codes of error bodies -> (HTTP status, the one word for it). Events of some policies have no status.
ERRORS: dict[str, tuple[int, str]] = {
    "content_filter": (400, "content_filter"),
    "responsibleaipolicyviolation": (400, "content_filter"),
    "context_length_exceeded": (400, "context_length_exceeded"),
    "string_above_max_length": (400, "context_length_exceeded"),
    "invalid_request_error": (400, "invalid_request"),
    "badrequest": (400, "invalid_request"),
    "unauthorized": (401, "unauthorized"),
    "invalid_api_key": (401, "unauthorized"),
    "permissiondenied": (401, "unauthorized"),
    "deploymentnotfound": (404, "not_found"),
    "model_not_found": (404, "not_found"),
    "timeout": (408, "timeout"),
    "requesttimeout": (408, "timeout"),
    "ratelimitreached": (429, "throttled"),
    "rate_limit_exceeded": (429, "throttled"),
    "too_many_requests": (429, "throttled"),
    "insufficient_quota": (429, "throttled"),
    "server_error": (500, "server_error"),
    "internalservererror": (500, "server_error"),
    "serviceunavailable": (503, "server_error"),
}

# Why nothing is charged: the narrowest match counts.
_REFUSALS = {
    "401": "unauthorized",
    "403": "unauthorized",
    "429": "throttled",
    "4xx": "client_error",
    "5xx": "server_error",
}
# Why the charged quantity is unknown.
_UNMETERED = {
    "400:content_filter": "content_filter",
    "400:context_length_exceeded": "input_limit",
    "408": "timeout",
}


class Verdict(Struct, frozen=True):
    billable: bool
    reason: str


def verdict(status: int | None, error: str | None, billable: Collection[str]) -> Verdict:
    """Judge a call without usage. No status and no error is taken for an answer that went uncounted."""
    known, word = _known(error)
    status = status or known
    if status is None:
        return Verdict(billable=True, reason="no_usage" if error is None else "unknown_error")
    names = (f"{status}:{word}", str(status), f"{status // 100}xx")
    if any(name in billable for name in names):
        return Verdict(billable=True, reason=_first(names, _UNMETERED, "no_usage"))
    return Verdict(billable=False, reason=_first(names, _REFUSALS, "no_answer"))


# Reason -> an error it can have come from: a charge keeps the reason, not the error's code.
_ERROR_OF = {
    "content_filter": "content_filter",
    "input_limit": "context_length_exceeded",
    "timeout": "timeout",
    "throttled": "rate_limit_exceeded",
    "unauthorized": "unauthorized",
    "client_error": "invalid_request_error",
    "server_error": "server_error",
    "unknown_error": "unknown_error",
}


def error_of(reason: str | None, status: int | None) -> str | None:
    """Return an error code that ``verdict`` judges as it judged the one behind ``reason``."""
    if reason in ("content_filter", "input_limit") or status is None:
        return _ERROR_OF.get(reason or "")
    return None


def _known(error: str | None) -> tuple[int | None, str | None]:
    if error is None:
        return None, None
    if error.isdecimal() and len(error) == 3:  # Azure puts the status itself into `error.code`
        return int(error), None
    return ERRORS.get(error.lower(), (None, error))


def _first(names: tuple[str, ...], words: dict[str, str], otherwise: str) -> str:
    return next((words[name] for name in names if name in words), otherwise)
