"""Text to a number of tokens: the two vocabularies, loaded from the package, never from a network.

tiktoken's own ``get_encoding`` downloads its ranks and caches them in a shared temporary folder.
Here the ranks are package data, checked by digest; each encoding is built once a process, at the
first estimate that needs it (about 0.2 s and 50 MB), so a worker that meets only reported usage
never pays for it.
"""

import binascii
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from chargeback.errors import StopError

if TYPE_CHECKING:
    from tiktoken import Encoding


class Recipe(NamedTuple):
    """What makes an encoding besides its ranks."""

    sha256: str
    """Of the unpacked rank file."""
    pattern: str
    """The regular expression that cuts text into words before byte pairs are merged."""


O200K = "o200k_base"
CL100K = "cl100k_base"

# Digests and patterns are those of tiktoken_ext/openai_public.py (tiktoken 0.14.0), whose
# functions cannot be asked for them without a download. A test compares the two.
RECIPES = {
    O200K: Recipe(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    CL100K: Recipe(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
}

LONGEST_PIECE = 48_000
"""Characters handed to tiktoken at once: a multiple of 3 and of 128, the periods of digits and of blanks.

A long run of one kind of character overflows the stack of its regular expressions and raises
PanicException, which is a BaseException and would end the worker: a run of 999,999 blanks does in
0.14.0, a run of 1,000,000 letters in 0.12.0 (openai/tiktoken, pull request 587).
"""

# Both patterns start a new word at a blank between two letters and at a letter after a line
# break, so a cut there changes no token.
_SAFE_CUT = re.compile(r"(?<=[A-Za-z])(?= [A-Za-z])|(?<=\n)(?=[A-Za-z])")
_SEARCHED_FOR_A_CUT = 2_000


def tokens_of(text: str, encoding: str) -> int:
    """Count ``text`` as ordinary text: ``<|endoftext|>`` in it is what a customer typed."""
    tokenizer = _tokenizer(encoding)
    if len(text) <= LONGEST_PIECE:
        return len(tokenizer.encode_ordinary(text))
    return sum(len(tokenizer.encode_ordinary(piece)) for piece in pieces(text))


def pieces(text: str) -> Iterator[str]:
    """Cut a long text where it cannot matter; inside an endless word, where it may cost a token."""
    start = 0
    for end, _ in _cuts(text):
        yield text[start:end]
        start = end
    yield text[start:]


def has_endless_word(text: str) -> bool:
    """Tell whether ``text`` had to be cut where the cut may change a token."""
    return not all(safe for _, safe in _cuts(text))


def _cuts(text: str) -> Iterator[tuple[int, bool]]:
    """Yield where each piece but the last ends, and whether that is known to change no token."""
    start = 0
    while len(text) - start > LONGEST_PIECE:
        end, safe = start + LONGEST_PIECE, False
        for cut in _SAFE_CUT.finditer(text, end - _SEARCHED_FOR_A_CUT, end):
            end, safe = cut.start(), True
        yield end, safe
        start = end


_building = Lock()


def _tokenizer(encoding: str) -> "Encoding":
    # functools.cache alone would let two threads build the same 50 MB at the same time.
    with _building:
        return _build(encoding)


@cache
def _build(encoding: str) -> "Encoding":
    import tiktoken  # noqa: PLC0415 - most workers never estimate; they should not wait for it

    recipe = RECIPES[encoding]
    return tiktoken.Encoding(
        name=encoding,
        pat_str=recipe.pattern,
        mergeable_ranks=read_ranks(encoding),
        special_tokens={},
    )


def read_ranks(encoding: str) -> dict[bytes, int]:
    """Return token bytes -> rank from package data; StopError when the file is missing or altered."""
    name = f"{encoding}.tiktoken.gz"
    try:
        content = gzip.decompress(packaged_bytes(name))
    except (OSError, EOFError, ValueError, zlib.error) as problem:
        raise StopError(_remedy(name, f"cannot be read ({type(problem).__name__})")) from problem
    found = hashlib.sha256(content).hexdigest()
    if found != RECIPES[encoding].sha256:
        raise StopError(_remedy(name, f"has sha256 {found} unpacked, expected {RECIPES[encoding].sha256}"))
    words = content.split()  # a word and its rank in turn; a loop over the lines takes three times as long
    return dict(zip(map(binascii.a2b_base64, words[::2]), map(int, words[1::2]), strict=True))


def packaged_bytes(name: str) -> bytes:
    return resources.files("chargeback.tokens").joinpath("vocabulary", name).read_bytes()


def _remedy(name: str, problem: str) -> str:
    return (
        f"chargeback/tokens/vocabulary/{name} {problem}: "
        "install the package again, or run scripts/build_vocabulary.py in a checkout"
    )
