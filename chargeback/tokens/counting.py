"""``count_text``: the one door to the tokenizer, with the cache in front of it."""

from functools import cache

from chargeback.tokens.cache import CountCache, key_of
from chargeback.tokens.encodings import tokens_of

WORTH_CACHING = 256
"""Characters from which a digest and a look-up cost less than encoding."""

_counts = CountCache(entries=50_000)


WORDS = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
"""Roles: each message has one. No other short text is kept, for it would be a customer's."""


@cache
def _word(text: str, encoding: str) -> int:
    return tokens_of(text, encoding)


def count_text(text: str, encoding: str) -> int:
    """Return the number of tokens of ``text`` in ``o200k_base`` or ``cl100k_base``."""
    if len(text) >= WORTH_CACHING:
        key = key_of(text, encoding)
        count = _counts.get(key)
        if count is None:
            count = tokens_of(text, encoding)
            _counts.put(key, count)
        return count
    if text in WORDS:
        return _word(text, encoding)
    return tokens_of(text, encoding) if text else 0
