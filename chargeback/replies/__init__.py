"""From a captured answer, streamed or not, to one Reply for every API operation.

The answer's ``object`` member tells the dialect; a cut or aborted body gives what it holds, ``complete``
False. Nothing here raises for content: an answer that is no JSON is a Reply without usage or text.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from chargeback.errors import RejectError
from chargeback.operations import EVENT_TYPES, FREE_OBJECTS, OBJECTS
from chargeback.replies import media
from chargeback.replies.chat import ChoiceFold, add_choices
from chargeback.replies.deltas import BLANK_LINE, Pattern, learn
from chargeback.replies.reply import Choice, Reply, ToolCall
from chargeback.replies.responses import OutputFold, is_final
from chargeback.salvage import Decoded, decode
from chargeback.sse import PREFIX, ServerEvent, events, looks_like_stream
from chargeback.strangers import as_id, as_object, as_objects

__all__ = ["Choice", "Reply", "ToolCall", "read_reply"]

_DONE = "[DONE]"
MOST_LESSONS = 8
"""Chunks tried for a pattern; the first ones of a stream have no text."""


def read_reply(body: Any, operation: str | None = None, *, cut: bool = False) -> Reply | None:
    """Rebuild the answer from what the event holds: text, a JSON value, or None for no body at all.

    ``operation`` is what the request says and gives way to the answer's own word. ``cut`` tells that the
    event ended inside this body.
    """
    if body is None or body == "":
        return None
    if isinstance(body, str):
        return _read_text(body, operation, cut=cut)
    if isinstance(body, list):  # the events of a session
        return _read_stream(_as_events(cast("list[Any]", body)), operation, cut=cut)
    return _read_value(body if isinstance(body, Decoded) else Decoded(body, cut=cut), operation)


def _read_text(text: str, operation: str | None, *, cut: bool) -> Reply:
    if looks_like_stream(text):
        quick = _read_lines(text, operation, cut=cut)
        return quick or _read_stream(events(text), operation, cut=cut)
    try:
        decoded = decode(text)
    except RejectError:
        if text[:1] == "{" and "\n" in text:  # one JSON event a line
            lines = (ServerEvent("", line) for line in text.splitlines() if line.strip())
            return _read_stream(lines, operation, cut=cut)
        # An HTML page of a proxy, an empty line: something was answered, nothing of it can be counted.
        return Reply(operation=operation or "unknown", streamed=False, complete=not cut)
    value: Any = decoded.value
    if isinstance(value, list):
        return _read_stream(_as_events(cast("list[Any]", value)), operation, cut=decoded.cut or cut)
    return _read_value(msgspec.structs.replace(decoded, cut=decoded.cut or cut), operation)


def _as_events(values: list[Any]) -> Iterable[ServerEvent]:
    return (ServerEvent("", msgspec.json.encode(value).decode()) for value in values)


def _read_value(decoded: Decoded, operation: str | None) -> Reply:
    body = as_object(decoded.value) or {}
    if isinstance(body.get("type"), str) and as_object(body.get("response")):
        # One event of the Responses or the realtime API on its own.
        inner = decoded.open_path[1:] if decoded.open_path[:1] == ("response",) else ()
        decoded = Decoded(body["response"], inner, decoded.cut)
        body = as_object(decoded.value) or {}
    word = _operation(body, operation)
    folds: dict[int, ChoiceFold] = {}
    add_choices(folds, body.get("choices"))
    usage = as_object(body.get("usage")) if decoded.is_whole("usage") else None
    counted = not usage and word in ("images", "audio") and not decoded.cut
    return Reply(
        operation=word,
        response_id=as_id(body.get("id")) if decoded.is_whole("id") else None,
        model=as_id(body.get("model")) if decoded.is_whole("model") else None,
        service_tier=as_id(body.get("service_tier")) if decoded.is_whole("service_tier") else None,
        status=as_id(body.get("status")),
        usage=usage,
        choices=_choices(folds),
        output=as_objects(body.get("output")),
        quantities=media.quantities(body, word) if counted else {},
        background=_flag(body.get("background")),
        final=word not in ("responses", "other") or is_final(body),
        model_ran=_model_ran(body),
        streamed=str(body.get("object")).endswith(".chunk"),
        complete=not decoded.cut,
        error=_error(body),
    )


def _read_stream(stream: Iterable[ServerEvent], operation: str | None, *, cut: bool) -> Reply:
    fold = _StreamFold(operation)
    for event in stream:
        if event.data.strip() == _DONE:
            fold.done = True
        elif not fold.add(event.data):
            break
    return fold.reply(cut=cut)


def _read_lines(text: str, operation: str | None, *, cut: bool) -> Reply | None:
    """Read a stream whose events are a line and a blank one each, as services write them.

    A chunk that differs from an earlier one in its text alone is not decoded. None if something stands
    there that ``events`` has to read.
    """
    if "\r" in text:
        return None
    fold = _StreamFold(operation)
    pattern: Pattern | None = None
    said, lessons, place = fold.said, 0, 0
    while place < len(text):
        if pattern is not None:
            texts, behind = pattern.texts(text, place)
            if texts:
                fold.folds[pattern.index].content += texts
                place = behind
                continue
        end = text.find(BLANK_LINE, place)
        line = text[place : end if end >= 0 else len(text)]
        if not line.startswith(PREFIX) or "\n" in line:
            return None
        data = line[len(PREFIX) :]
        if data.strip() == _DONE:
            fold.done = True
        elif not fold.add(data):
            break
        elif pattern is None or said != fold.said:
            said, lessons = fold.said, lessons + 1
            pattern = learn(line, PREFIX, fold.chunk) if lessons <= MOST_LESSONS else None
        place += len(line) + len(BLANK_LINE)
    return fold.reply(cut=cut)


class _StreamFold:
    """What the chunks so far add up to. First id, last model and last usage win, wherever they stand."""

    def __init__(self, operation: str | None) -> None:
        self.operation = operation
        self.done = False
        self.chunk: Mapping[str, Any] | None = None
        """The last one that a strict decoder took."""
        self.response_id: str | None = None
        self.model: str | None = None
        self.service_tier: str | None = None
        self.status: str | None = None
        self.error: str | None = None
        self.usage: Mapping[str, Any] | None = None
        self.output: tuple[Mapping[str, Any], ...] = ()
        self.background: bool | None = None
        self.folds: dict[int, ChoiceFold] = {}
        self.items = OutputFold()
        self.sessions: dict[str, Mapping[str, Any]] = {}

    @property
    def said(self) -> tuple[str | None, ...]:
        """What a chunk may say anew; one that repeats an earlier chunk repeats these."""
        return self.operation, self.model, self.service_tier, self.error

    def add(self, data: str) -> bool:
        """Take in one chunk; False when it is broken, and nothing behind it can be trusted."""
        try:
            chunk = self.chunk = as_object(msgspec.json.decode(data))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return self._add_odd(data)
        if chunk is not None:
            self._add(chunk)
        return True

    def _add_odd(self, data: str) -> bool:
        """Take in a chunk a strict decoder refuses.

        One may end with half of a surrogate pair whose other half begins the next: both halves are kept
        until the text is joined. A cut chunk is the end.
        """
        try:
            self._add(as_object(json.loads(data)) or {})
        except RecursionError:
            return True
        except ValueError:
            return not _is_cut(data)
        return True

    def _add(self, chunk: Mapping[str, Any]) -> None:
        # The Responses API wraps the answer so far into `response` of its events.
        body = as_object(chunk.get("response")) or chunk
        kind = chunk.get("type")
        self.operation = _operation(body, self.operation, kind)
        self.response_id = self.response_id or as_id(body.get("id"))
        self.model = as_id(body.get("model")) or self.model
        self.service_tier = as_id(body.get("service_tier")) or self.service_tier
        self.error = _error(chunk) or (_error(body) if body is not chunk else None) or self.error
        usage = as_object(body.get("usage"))
        self.usage = usage or self.usage
        if isinstance(kind, str):
            self._add_typed(kind, chunk, body, usage)
        add_choices(self.folds, chunk.get("choices"))

    def _add_typed(
        self, kind: str, chunk: Mapping[str, Any], body: Mapping[str, Any], usage: Mapping[str, Any] | None
    ) -> None:
        """Take in an event of the APIs that name their events: Responses, realtime, images, audio."""
        if body is not chunk:
            self.status = as_id(body.get("status")) or self.status
            self.output = as_objects(body.get("output")) or self.output
            self.background = _flag(body.get("background")) if "background" in body else self.background
        if self.operation == "realtime":
            if kind == "response.done" and usage:  # a session has many, each with an id of its own
                self.sessions[as_id(body.get("id")) or str(len(self.sessions))] = usage
        else:
            self.items.add(kind, chunk)

    def reply(self, *, cut: bool) -> Reply:
        return Reply(
            operation=self.operation or "unknown",
            response_id=self.response_id,
            model=self.model,
            service_tier=self.service_tier,
            status=self.status,
            usage=media.added(self.sessions.values()) or self.usage,
            choices=_choices(self.folds),
            output=self.output or self.items.output(),
            background=self.background,
            streamed=True,
            complete=self._complete(cut=cut),
            error=self.error,
        )

    def _complete(self, *, cut: bool) -> bool:
        """A stream is whole when its usage, its end mark or its final status was seen."""
        ended = self.done or self.status in ("completed", "incomplete", "failed")
        finished = bool(self.folds) and all(fold.finish_reason for fold in self.folds.values())
        return self.usage is not None or ended or (finished and not cut)


def _is_cut(data: str) -> bool:
    try:
        return decode(data).cut
    except RejectError:
        return False


def _operation(body: Mapping[str, Any], known: str | None, kind: Any = None) -> str:
    """Name the operation by the answer itself, as far as it tells."""
    said = body.get("object")
    if type(said) is str and said in _PLAIN_OBJECTS:
        return OBJECTS[said]
    word = str(said).lower()
    if word == "list":
        return "embeddings" if _model_ran(body) else "other"
    if word in OBJECTS:
        return OBJECTS[word]
    if word in FREE_OBJECTS:
        return "batch" if word == "batch" else "other"
    if isinstance(kind, str):
        typed = (found for start, found in EVENT_TYPES.items() if kind.startswith(start))
        return known or next(typed, "unknown")
    return media.operation_of(body) or known or "unknown"


_PLAIN_OBJECTS = OBJECTS.keys() - {"list"}


def _model_ran(body: Mapping[str, Any]) -> bool:
    """False for answers that no model made, and for lists of such."""
    word = str(body.get("object")).lower()
    if word != "list":
        return word not in FREE_OBJECTS
    items = as_objects(body.get("data"))
    if not items:
        return "usage" in body or "model" in body
    return str(items[0].get("object", "embedding")).lower() == "embedding"


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _choices(folds: Mapping[int, ChoiceFold]) -> tuple[Choice, ...]:
    return tuple(folds[index].choice() for index in sorted(folds))


def _error(body: Mapping[str, Any]) -> str | None:
    """Return the code of an error body, as a word; ``error`` where it has none."""
    error = body.get("error")
    if not error:
        return None
    details = as_object(error) or {}
    inner = as_object(details.get("innererror")) or {}
    return as_id(details.get("code")) or as_id(inner.get("code")) or as_id(details.get("type")) or "error"
