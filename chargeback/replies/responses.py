"""The Responses API: output items put together from a stream that may have ended before its last event."""

from collections.abc import Mapping
from typing import Any

from chargeback.strangers import as_count, as_id, as_object, as_objects, as_text

# Type of a delta event -> the member of its output item that grows.
_TEXT_DELTAS = {
    "response.output_text.delta": "output_text",
    "response.refusal.delta": "refusal",
}
_ITEM_DELTAS = {
    "response.function_call_arguments.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
    "response.code_interpreter_call_code.delta": "code",
}
STARTED, FINISHED = "response.output_item.added", "response.output_item.done"


class OutputFold:
    """The items of an answer as they grow; one that was finished is taken as it stands."""

    def __init__(self) -> None:
        self._items: dict[int, dict[str, Any]] = {}
        self._texts: dict[tuple[int, int, str], list[str]] = {}
        self._finished: set[int] = set()

    def add(self, kind: str, event: Mapping[str, Any]) -> None:
        """Take in one event of the stream; those that add nothing to the output are passed over."""
        place = as_count(event.get("output_index")) or 0
        if kind in (STARTED, FINISHED):
            self._items[place] = dict(as_object(event.get("item")) or {})
            if kind == FINISHED:
                self._finished.add(place)
        elif kind in _TEXT_DELTAS:
            part = as_count(event.get("content_index")) or 0
            key = (place, part, _TEXT_DELTAS[kind])
            self._texts.setdefault(key, []).append(as_text(event.get("delta")))
        elif kind in _ITEM_DELTAS:
            item = self._items.setdefault(place, {"type": "function_call"})
            member = _ITEM_DELTAS[kind]
            item[member] = as_text(item.get(member)) + as_text(event.get("delta"))

    def output(self) -> tuple[Mapping[str, Any], ...]:
        for place in {place for place, _, _ in self._texts} - self._finished:
            item = self._items.setdefault(place, {"type": "message", "role": "assistant"})
            item["content"] = [
                _part(kind, "".join(pieces))
                for (at, _, kind), pieces in sorted(self._texts.items())
                if at == place
            ]
        return tuple(self._items[place] for place in sorted(self._items))


def _part(kind: str, text: str) -> dict[str, Any]:
    return {"type": kind, "refusal" if kind == "refusal" else "text": text}


def is_final(body: Mapping[str, Any]) -> bool:
    """False while the service still works on it: its usage is not known yet."""
    return as_id(body.get("status")) not in ("queued", "in_progress")


def visible_text(output: tuple[Mapping[str, Any], ...]) -> str:
    """Return the text of the output's messages, joined."""
    parts = (part for item in output for part in as_objects(item.get("content")))
    return "".join(as_text(part.get("text")) for part in parts)
