"""The prompts of legacy completions and of embeddings: plain text without any frame."""

from collections.abc import Mapping
from typing import Any

from chargeback.tokens.reader import as_list, whole_number
from chargeback.tokens.tally import Tally


def count_completions(tally: Tally, request: Mapping[str, Any]) -> None:
    _count_input(tally, request.get("prompt"))
    if request.get("suffix"):
        tally.note("suffix")


def count_embeddings(tally: Tally, request: Mapping[str, Any]) -> None:
    _count_input(tally, request.get("input"))


def _count_input(tally: Tally, value: Any) -> None:
    """A text, token ids, or a list of either."""
    for entry in [value] if isinstance(value, str) else as_list(value):
        if isinstance(entry, str):
            tally.text(entry)
            tally.note("counted_text")
        elif ids := _token_ids(entry):
            tally.add(ids)
            tally.note("counted_token_ids")
        else:
            tally.note("unknown_part")
    if value is not None and not isinstance(value, (str, list, tuple)):
        tally.note("unknown_part")


def _token_ids(entry: Any) -> int:
    if whole_number(entry) is not None:
        return 1
    ids = as_list(entry)
    return len(ids) if all(whole_number(token) is not None for token in ids) else 0
