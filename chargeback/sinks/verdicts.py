"""What an answer of the ingestion endpoint means for each item of its request; pure, and decided by one table.

Believed is only what adds up: anything the service did not clearly accept is refused or sent again.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec import Struct

from chargeback.telemetry import Refusal


class Answer(Struct, frozen=True, kw_only=True):
    """What came back for one request."""

    code: int | str
    """HTTP status, or a word of our own where there is none to go by (``unreachable``, ``foreign_redirect`` ...)."""
    body: bytes = b""
    retry_after_s: float | None = None
    location: str | None = None


class ItemError(Struct, frozen=True, rename="camel"):
    index: int
    status_code: int
    message: str | None = None


class Receipt(Struct, frozen=True, rename="camel"):
    """The service's account of a request; ``index`` counts within that request."""

    items_received: int
    items_accepted: int
    errors: tuple[ItemError, ...] | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """What an answer means for the items of its request, by position. Positions named nowhere stay unconfirmed."""

    confirmed: tuple[int, ...] = ()
    refused: tuple[Refusal, ...] = ()
    again: tuple[tuple[int, ...], ...] = ()
    """Requests to make instead of this one."""
    waits: bool = False
    """Whether they must wait. Without a wait they are strictly smaller than this one, so that comes to an end."""
    ends: bool = False
    """Nothing more will get through now, from any request."""
    alarm: str | None = None
    sampled: bool = False


Decision: TypeAlias = Callable[[Answer, int], Verdict]

TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
UNAUTHORIZED = frozenset({401, 403})
DAILY_CAP = frozenset({402, 439})


def judge(answer: Answer, count: int) -> Verdict:
    """What ``answer`` means for the ``count`` items of its request. Never confirms what was not accepted."""
    return DECISIONS.get(answer.code, _stop("wrong_endpoint"))(answer, count)


def _by_receipt(answer: Answer, count: int) -> Verdict:
    """200 and 206: believed only if every number adds up, else all of it goes again and readers drop the copies."""
    receipt = _receipt(answer.body, count)
    if receipt is None or receipt.items_accepted != count - len(receipt.errors or ()):
        return _resend(answer, count)
    return _sorted_out(receipt.errors or (), _others(receipt, count))


def _by_named_items(answer: Answer, count: int) -> Verdict:
    """400: out with the items it names and again with the others, or halve until the culprit is alone."""
    receipt = _receipt(answer.body, count)
    if receipt is None or not receipt.errors:
        return _halve(answer, count)
    verdict = _sorted_out(receipt.errors, ())
    innocent = _others(receipt, count)
    blocked = tuple(sorted((*innocent, *(position for group in verdict.again for position in group))))
    return msgspec.structs.replace(
        verdict, again=(blocked,) if blocked else (), waits=len(blocked) == count or verdict.waits
    )


def _halve(answer: Answer, count: int) -> Verdict:
    if count == 1:
        return Verdict(
            refused=(Refusal(index=0, status=int(answer.code), message=_words(int(answer.code), "")),)
        )
    middle = count // 2
    return Verdict(again=(tuple(range(middle)), tuple(range(middle, count))))


def _resend(_: Answer, count: int) -> Verdict:
    return Verdict(again=(tuple(range(count)),), waits=True)


def _resend_unauthorized(_: Answer, count: int) -> Verdict:
    """A new role assignment takes minutes to work, so it is worth trying until the deadline."""
    return Verdict(again=(tuple(range(count)),), waits=True, alarm="unauthorized")


def _stop(alarm: str) -> Decision:
    return lambda _answer, _count: Verdict(ends=True, alarm=alarm)


# What is not here no ingestion endpoint says (a login page's redirect, 405, 204): `judge` stops at it.
DECISIONS: Mapping[int | str, Decision] = {
    200: _by_receipt,
    206: _by_receipt,
    400: _by_named_items,
    413: _halve,
    404: _stop("wrong_endpoint"),
    **dict.fromkeys(TRANSIENT, _resend),
    **dict.fromkeys(UNAUTHORIZED, _resend_unauthorized),
    **dict.fromkeys(DAILY_CAP, _stop("daily_cap")),
    "unreachable": _resend,
    "no_answer": _resend,
    "no_token": _stop("unauthorized"),
    "foreign_redirect": _stop("foreign_redirect"),
    "redirect_loop": _stop("wrong_endpoint"),
}


def _sorted_out(errors: Sequence[ItemError], confirmed: tuple[int, ...]) -> Verdict:
    """Each named item by its own status; ``confirmed`` are the others, where the answer vouches for them."""
    refused: list[Refusal] = []
    again: list[int] = []
    alarm = None
    ends = sampled = False
    for error in errors:
        message = (error.message or "").strip().casefold()
        if message.startswith("telemetry sampled out"):
            sampled = True
            refused.append(
                Refusal(index=error.index, status=error.status_code, message="sampled out on ingestion")
            )
        elif message.startswith("invalid instrumentation key"):
            # A 400 that names every item. Obeyed, one wrong setting would refuse the whole backlog for good.
            alarm, ends = "wrong_endpoint", True
        elif error.status_code in {400, 413}:
            words = _words(error.status_code, message)
            refused.append(Refusal(index=error.index, status=error.status_code, message=words))
        elif error.status_code in TRANSIENT | UNAUTHORIZED:
            again.append(error.index)
            alarm = alarm or ("unauthorized" if error.status_code in UNAUTHORIZED else None)
        else:
            alarm, ends = "daily_cap" if error.status_code in DAILY_CAP else "wrong_endpoint", True
    return Verdict(
        confirmed=confirmed,
        refused=tuple(refused),
        again=(tuple(sorted(again)),) if again else (),
        waits=bool(again),
        ends=ends,
        alarm=alarm,
        sampled=sampled,
    )


def _receipt(body: bytes, count: int) -> Receipt | None:
    """The receipt if it is about these items: right total, errors in range, none named twice (which would hold?)."""
    try:
        receipt = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"), type=Receipt)
    except (msgspec.DecodeError, RecursionError):
        return None
    named = [error.index for error in receipt.errors or ()]
    sound = len(set(named)) == len(named) and all(0 <= index < count for index in named)
    return receipt if sound and receipt.items_received == count else None


def _others(receipt: Receipt, count: int) -> tuple[int, ...]:
    named = {error.index for error in receipt.errors or ()}
    return tuple(position for position in range(count) if position not in named)


KNOWN_CODES = {
    "103": "103: the envelope's time is older than the service takes",
    "104": "104: the envelope's time is newer than the service takes",
}


def _words(status: int, message: str) -> str:
    """A refusal in our own words: the service's may quote the value it dislikes, which is a customer's."""
    code = re.match(r"(\d{3}):", message)
    reason = KNOWN_CODES.get(code[1], f"{code[1]}: the service's own code") if code else "no code given"
    return f"refused with status {status} ({reason})"
