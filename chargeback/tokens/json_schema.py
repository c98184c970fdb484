"""The response format's schema as it stands in the prompt: one line of JSON under a heading."""

from collections.abc import Mapping
from typing import Any

from chargeback.tokens.reader import as_list, as_object, as_text, dumped
from chargeback.tokens.tally import Tally

DEEPEST = 200

# Measured absent from the bill: the first five, maxItems; the others by analogy, as all of them
# restrain what may be generated and say nothing that the model has to read.
_UNSEEN = frozenset(
    {
        "required",
        "additionalProperties",
        "default",
        "minimum",
        "maximum",
        "maxItems",
        "$schema",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
        "minLength",
        "maxLength",
        "pattern",
        "multipleOf",
        "uniqueItems",
    }
)
# Below these a key is a name somebody chose, not a keyword.
_NAMED = frozenset({"properties", "$defs", "definitions"})
# Below these stand values, not schemas.
_VALUES = frozenset({"enum", "const", "examples"})


def count_schema(tally: Tally, json_schema: Mapping[str, Any]) -> None:
    text = format_text(json_schema)
    tally.text(text)
    tally.note("counted_json_schema")
    if text.endswith("\n") and json_schema.get("schema"):
        tally.note("schema_too_large")


def format_text(json_schema: Mapping[str, Any]) -> str:
    """Return the text billed for ``{"name": ..., "description": ..., "schema": ...}``."""
    description = as_text(json_schema.get("description"))
    remark = f"// {description}\n" if description else ""
    # Non-ASCII characters are escaped: a dash in a description costs four tokens, not one.
    schema = dumped(_seen(json_schema.get("schema"), 0), ascii_only=True)
    return f"# Response Formats\n\n## {as_text(json_schema.get('name'))}\n\n{remark}{schema}"


def _seen(value: Any, level: int) -> Any:
    if level > DEEPEST:
        return None
    if isinstance(value, Mapping):
        schema = as_object(value)
        return {key: _below(key, entry, level + 1) for key, entry in schema.items() if key not in _UNSEEN}
    if isinstance(value, (list, tuple)):
        return [_seen(entry, level + 1) for entry in as_list(value)]
    return value


def _below(key: str, value: Any, level: int) -> Any:
    if key in _VALUES:
        return value
    if key in _NAMED and isinstance(value, Mapping):
        return {name: _seen(schema, level + 1) for name, schema in as_object(value).items()}
    return _seen(value, level)
