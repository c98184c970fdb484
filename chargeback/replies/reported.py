"""The quick way to a reported usage: a few members of an answer, the two ends of a stream.

Nearly every answer reports its usage, and then nobody needs its text. This reads what billing asks for and
steps over the rest, and gives up (None) on whatever is not plainly so; ``read_reply`` then reads everything.
Where it answers, its Reply has the same facts as that one's, without choices, output and error, and its
usage is the same; ``tests/replies/test_quick_ways.py`` holds the two against each other.
"""

from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from chargeback.operations import OBJECTS
from chargeback.replies.reply import Reply
from chargeback.sse import first_events, last_events
from chargeback.strangers import as_id
from chargeback.usage import Block, Usage, from_plain

_WHOLE = ("chat.completion", "text_completion", "response")
_STREAMED = ("chat.completion.chunk", "text_completion", "response")
_NOT_FINAL = ("queued", "in_progress")

_DONE = "[DONE]"

AT_THE_END = 8
"""Events looked at from behind: the usage, ``[DONE]``, and verdicts of a filter that lags behind the text."""
NEAR_THE_END = 8_192
"""Characters searched for the word before anything is decoded; a usage further in front is found slowly."""
AT_THE_START = 4
"""Events looked at for the answer's id; the first one may hold verdicts on the prompt and no id."""


class _Body(Struct):
    """An answer, or the answer inside an event of the Responses API."""

    object: Any = None
    id: Any = None
    model: Any = None
    service_tier: Any = None
    status: Any = None
    background: Any | UnsetType = UNSET
    usage: Block | None = None
    error: Any = None


class _Chunk(_Body):
    """An answer, or an event of a stream."""

    type: Any = None
    response: _Body | None = None


_decoder = msgspec.json.Decoder(_Chunk)


class Reported(NamedTuple):
    """An answer that was counted: what it says beside its text, which is not read, and its usage."""

    reply: Reply
    usage: Usage


def reported(text: str) -> Reported | None:
    """Return the answer and its usage if it plainly reports one."""
    if text.startswith("{"):
        return _whole(text)
    return _stream(text) if text.startswith(("data:", "event:")) else None


def _whole(text: str) -> Reported | None:
    body = _decoded(text)
    if body is None or body.usage is None or body.object not in _WHOLE:
        return None
    usage = from_plain(body.usage)
    if usage is None or body.error or isinstance(body.type, str):
        return None
    word = OBJECTS[body.object]
    reply = Reply(
        operation=word,
        response_id=as_id(body.id),
        model=as_id(body.model),
        service_tier=as_id(body.service_tier),
        background=_flag(body.background),
        final=word != "responses" or as_id(body.status) not in _NOT_FINAL,
        streamed=False,
    )
    return Reported(reply, usage)


def _stream(text: str) -> Reported | None:
    """Read from the end up to the usage: what is met first is what was said last, and that holds."""
    if '"usage"' not in text[-NEAR_THE_END:]:
        return None
    word = model = tier = usage = None
    background: Any = UNSET
    for event in last_events(text, AT_THE_END):
        if event.data == _DONE:
            continue
        body = _answer(event.data)
        if body is None or (body.object and body.object not in _STREAMED):
            return None
        word = word or body.object
        model = model or as_id(body.model)
        tier = tier or as_id(body.service_tier)
        background = body.background if background is UNSET else background
        if body.usage is not None:
            usage = from_plain(body.usage)
            break
    if usage is None:
        return None
    response_id, first_tier = _beginning(text)
    # No service names a tier in the middle only, and only the Responses API works in the background.
    more = (tier is None and first_tier is not None) or (
        word == "response" and background is UNSET and '"background"' in text
    )
    if not word or model is None or response_id is None or more:
        return None
    reply = Reply(
        operation=OBJECTS[word],
        response_id=response_id,
        model=model,
        service_tier=tier,
        background=_flag(background),
        streamed=True,
    )
    return Reported(reply, usage)


def _beginning(text: str) -> tuple[str | None, str | None]:
    """Return the first id, and the tier the chunk with it names."""
    for event in first_events(text, AT_THE_START):
        body = _answer(event.data)
        known = as_id(body.id) if body else None
        if body is not None and known is not None:
            return known, as_id(body.service_tier)
    return None, None


def _answer(data: str) -> _Body | None:
    chunk = _decoded(data)
    if chunk is None or chunk.response is None:
        return chunk
    return chunk.response if chunk.response.object else None


def _decoded(text: str) -> _Chunk | None:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
