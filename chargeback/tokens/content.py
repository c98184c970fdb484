"""What a message holds: text to count, pictures to measure, and what can be neither."""

from collections.abc import Mapping
from typing import Any

from chargeback.tokens.images import picture_tokens
from chargeback.tokens.reader import as_list, as_object, as_text
from chargeback.tokens.tally import Tally

_TEXTS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "summary_text": "text",
}
"""Part type -> the field with its text."""

_UNCOUNTABLE = {
    "input_audio": "audio",
    "audio": "audio",
    "output_audio": "audio",
    "file": "file",
    "input_file": "file",
    "document": "file",
    "video_url": "file",
}
"""Part type -> note."""

_PICTURES = frozenset({"image_url", "input_image", "image"})
_DETAILS = frozenset({"", "auto", "low", "high", "original"})


def text_of(content: Any) -> str:
    """Join the text parts of a message's ``content`` with nothing between; ``null`` is empty."""
    if isinstance(content, str):
        return content
    return "".join(_part_text(part) for part in as_list(content))


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    fields = as_object(part)
    return as_text(fields.get(_TEXTS.get(as_text(fields.get("type")), "")))


def count_others(tally: Tally, content: Any) -> None:
    """Add the pictures of a message and note the parts that are not text."""
    if isinstance(content, str):
        return
    if content is not None and not isinstance(content, (list, tuple)):
        tally.note("unknown_part")
    for part in as_list(content):
        if isinstance(part, str):
            continue
        kind = as_text(as_object(part).get("type"))
        if kind in _PICTURES:
            _picture(tally, as_object(part))
        elif kind not in _TEXTS:
            tally.note(_UNCOUNTABLE.get(kind, "unknown_part"))


def _picture(tally: Tally, part: Mapping[str, Any]) -> None:
    """Chat says ``{"image_url": {"url": ..., "detail": ...}}``, Responses the same one level higher."""
    named = part.get("image_url")
    inner = as_object(named)
    url = as_text(inner.get("url")) or as_text(named)
    detail = as_text(inner.get("detail") or part.get("detail"))
    if not url.startswith("data:"):
        tally.note("remote_image")
        return
    if detail not in _DETAILS:
        tally.note("image_detail_assumed")
    tokens = picture_tokens(url, detail, tally.model.pictures)
    if tokens is None:
        tally.note("unreadable_image")
        return
    tally.add(tokens)
    tally.note("counted_images")
