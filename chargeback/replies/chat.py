"""Chat Completions: choices from a JSON answer or folded from stream chunks, by the same rules."""

from collections.abc import Mapping
from typing import Any

from chargeback.replies.reply import Choice, ToolCall
from chargeback.strangers import as_count, as_id, as_object, as_objects, as_text


class ChoiceFold:
    """One choice as it grows; a JSON answer is a stream of one piece."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.content: list[str] = []
        self.refusal: list[str] = []
        self.finish_reason: str | None = None
        self._calls: dict[int, _CallFold] = {}
        self._function: _CallFold | None = None

    def add(self, message: Mapping[str, Any]) -> None:
        """Take in a ``message`` or a ``delta``."""
        self.content.append(content_text(message.get("content")))
        if "refusal" in message:
            self.refusal.append(as_text(message["refusal"]))
        for place, call in enumerate(as_objects(message.get("tool_calls"))):
            number = as_count(call.get("index"))
            fold = self._calls.setdefault(place if number is None else number, _CallFold())
            # Custom tools carry free text under `custom.input` in place of a function's arguments.
            fold.add(as_object(call.get("function")) or as_object(call.get("custom")) or {})
        function = as_object(message.get("function_call"))
        if function:
            self._function = self._function or _CallFold()
            self._function.add(function)

    def choice(self) -> Choice:
        return Choice(
            index=self.index,
            content=_joined(self.content),
            refusal=_joined(self.refusal),
            tool_calls=tuple(self._calls[number].call() for number in sorted(self._calls)),
            function_call=self._function.call() if self._function else None,
            finish_reason=self.finish_reason,
        )


class _CallFold:
    """A tool call: the first name wins, the arguments follow in pieces."""

    def __init__(self) -> None:
        self.name = ""
        self.arguments: list[str] = []

    def add(self, function: Mapping[str, Any]) -> None:
        self.name = self.name or as_text(function.get("name"))
        self.arguments.append(as_text(function.get("arguments")) or as_text(function.get("input")))

    def call(self) -> ToolCall:
        return ToolCall(self.name, _joined(self.arguments))


def _joined(pieces: list[str]) -> str:
    """Join deltas; two that share a character's surrogate pair give it back."""
    text = "".join(pieces)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def content_text(content: Any) -> str:
    """Return the visible text of a message's content: text, or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(as_text(part.get("text")) for part in as_objects(content))


def add_choices(folds: dict[int, ChoiceFold], choices: Any) -> None:
    """Fold the ``choices`` of one body or chunk. Filter chunks have a choice without ``delta``: nothing to add."""
    for place, item in enumerate(as_objects(choices)):
        index = as_count(item.get("index"))
        index = place if index is None else index
        fold = folds.get(index)
        if fold is None:
            fold = folds[index] = ChoiceFold(index)
        # API Management's log keeps the bare messages.
        bare = item if "role" in item and "content" in item else None
        message = as_object(item.get("delta")) or as_object(item.get("message")) or bare
        if message:
            fold.add(message)
        elif isinstance(item.get("text"), str):
            fold.content.append(item["text"])
        fold.finish_reason = as_id(item.get("finish_reason")) or fold.finish_reason
