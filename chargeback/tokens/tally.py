"""One estimate in the making: tokens add up, notes collect."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from chargeback.tokens.counting import count_text
from chargeback.tokens.encodings import LONGEST_PIECE, has_endless_word
from chargeback.tokens.models import Model
from chargeback.tokens.notes import NOTES
from chargeback.tokens.reader import NOTHING
from chargeback.tokens.tools import Declarations


class Estimate(Struct, frozen=True):
    """A number of tokens and the fixed words that qualify it."""

    tokens: int | None
    """``None``: nothing countable at all (no body, an operation without tokens)."""
    notes: tuple[str, ...] = ()


class Tally:
    """Counts one side of one call. ``azure`` and ``model`` choose among the measured rules."""

    def __init__(
        self, model: Model, *, azure: bool, request: Mapping[str, Any] = NOTHING, preamble: bool = False
    ) -> None:
        self.model = model
        self.azure = azure
        self.preamble = preamble
        self.request = request
        self.tokens = 0
        self.notes: set[str] = set()
        if not model.listed:
            self.note("encoding_assumed")
        if model.version_unknown:
            self.note("model_version_unknown")
        if not model.own_vocabulary:
            self.note("tokenizer_close")

    def size(self, text: str) -> int:
        if len(text) > LONGEST_PIECE and has_endless_word(text):
            self.note("endless_word_close")
        return count_text(text, self.model.encoding)

    def text(self, *texts: str) -> None:
        for text in texts:
            if text:
                self.tokens += self.size(text)

    def add(self, tokens: int) -> None:
        self.tokens += tokens

    def note(self, word: str) -> None:
        NOTES[word]  # a word outside the closed list is a mistake of ours: fail in the tests
        self.notes.add(word)

    def note_tools(self, declarations: Declarations) -> None:
        self.note("counted_tools")
        if declarations.half_known:
            self.note("tool_rules_close")
        if declarations.truncated:
            self.note("schema_too_large")

    def estimate(self) -> Estimate:
        return Estimate(self.tokens, tuple(sorted(self.notes)))
