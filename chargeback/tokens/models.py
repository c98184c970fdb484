"""What a model's name says about counting: encoding, reasoning, picture prices, as one table."""

import re
from functools import lru_cache
from typing import NamedTuple

from chargeback.tokens.encodings import CL100K, O200K


class Tiles(NamedTuple):
    """Pictures cost ``base`` and ``tile`` for each 512 x 512 square."""

    base: int
    tile: int


class Patches(NamedTuple):
    """Pictures cost ``factor`` for each 32 x 32 square, ``extra`` once, squares at most ``limit``."""

    factor: float
    limit: int = 1536
    extra: int = 1


Pictures = Tiles | Patches | None


class Family(NamedTuple):
    """One row: names that start with ``prefix`` count alike."""

    prefix: str
    encoding: str = O200K
    reasoning: bool = False
    pictures: Pictures = None
    own_vocabulary: bool = True
    escapes_results: bool = False


class Model(NamedTuple):
    """What the counting rules ask of a model."""

    encoding: str
    listed: bool
    """False: no row of the table; an assumption."""
    bare: str
    """The name without provider, path and case."""
    own_vocabulary: bool = True
    reasoning: bool = False
    pictures: Pictures = None
    version: tuple[int, int] = (0, 0)
    """(5, 4) for gpt-5.4; (0, 0) for names without one."""
    series: str = ""
    """The table row's prefix."""
    escapes_results: bool = False
    """Answers of parallel calls are written with non-ASCII characters escaped."""

    @property
    def version_unknown(self) -> bool:
        """Azure's 0301 cost one token a message more than its later versions, and all answer alike."""
        return self.bare == "gpt-35-turbo"

    @property
    def thinks(self) -> bool:
        """Bills reasoning that is not shown. o1-mini does, though its prompts are framed as before."""
        return self.reasoning or self.series == "o1-mini"

    @property
    def own_end(self) -> bool:
        """Azure bills the token that ends an answer of these models."""
        return self.encoding == O200K

    @property
    def old_calls(self) -> bool:
        """gpt-4 of 2023, before turbo and the previews; the bare name has always meant it."""
        return self.bare in ("gpt-4", "gpt-4-32k") or self.bare.endswith(("-0314", "-0613"))

    @property
    def answer_frame(self) -> int:
        """Tokens around a reasoning model's visible text in Chat Completions."""
        return _ANSWER_FRAMES.get(self.series, 9)

    @property
    def marks_channels(self) -> bool:
        """Reasoning models after o3-mini name a channel in every turn of the assistant."""
        return self.reasoning and self.series != "o3-mini"

    @property
    def late(self) -> bool:
        """gpt-5.2 and later, which frame their answers more tightly than gpt-5 and gpt-5.1."""
        return self.reasoning and self.version >= (5, 2)


_OLD_PICTURES = Tiles(85, 170)
_O_PICTURES = Tiles(75, 150)

# Longest prefix wins, so the order is for the reader. Picture prices: OpenAI's guide to images and
# vision; measured for gpt-4o, gpt-4o-mini, gpt-4.1-mini, gpt-5, -mini, -nano, o4-mini, gpt-5.5.
FAMILIES = (
    Family("gpt-4o", pictures=_OLD_PICTURES),
    Family("gpt-4o-mini", pictures=Tiles(2833, 5667), escapes_results=True),
    Family("chatgpt-4o", pictures=_OLD_PICTURES),
    Family("gpt-4.1", pictures=_OLD_PICTURES),
    Family("gpt-4.1-mini", pictures=Patches(1.62)),
    Family("gpt-4.1-nano", pictures=Patches(2.46)),
    Family("gpt-4.5", pictures=_OLD_PICTURES),
    Family("gpt-5", reasoning=True, pictures=Tiles(70, 140)),
    Family("gpt-5-mini", reasoning=True, pictures=Patches(1.2)),
    Family("gpt-5-nano", reasoning=True, pictures=Patches(1.5)),
    # Measured on the Responses API: no limit up to 1,716 squares at least, nothing extra.
    Family("gpt-5.5", reasoning=True, pictures=Patches(1.2, limit=10_000, extra=0)),
    Family("gpt-6", reasoning=True),
    Family("o", reasoning=True),
    Family("o1", reasoning=True, pictures=_O_PICTURES),
    Family("o1-mini"),
    Family("o3", reasoning=True, pictures=_O_PICTURES),
    Family("o3-mini", reasoning=True),
    Family("o4-mini", reasoning=True, pictures=Patches(1.72)),
    Family("codex", reasoning=True),
    Family("computer-use", reasoning=True),
    Family("gpt-oss", reasoning=True),
    Family("gpt-audio"),
    Family("gpt-realtime"),
    Family("gpt-image"),
    Family("gpt-4", CL100K, pictures=_OLD_PICTURES),
    Family("gpt-3.5", CL100K),
    Family("gpt-35", CL100K),
    Family("text-embedding", CL100K),
    Family("ada", CL100K),
    Family("davinci-002", CL100K),
    Family("babbage-002", CL100K),
    Family("davinci:2023", CL100K),
    Family("babbage:2023", CL100K),
    # Retired completion models; the two vocabularies they used are not worth 1.7 MB.
    Family("text-", CL100K, own_vocabulary=False),
    Family("code-", CL100K, own_vocabulary=False),
    Family("davinci", CL100K, own_vocabulary=False),
    Family("babbage", CL100K, own_vocabulary=False),
    Family("curie", CL100K, own_vocabulary=False),
)
_ANSWER_FRAMES = {"o1-mini": 11, "o3-mini": 13, "o4-mini": 22}
_VERSION = re.compile(r"(?:gpt-|o)(\d{1,3})(?:\.(\d{1,3}))?(?!\d)")


def normalized(name: str | None) -> str:
    """Return the bare model name: no provider, no path, no ``ft:``, lower case."""
    return (name or "").strip().lower().rpartition("/")[2].removeprefix("ft:")


@lru_cache(maxsize=1024)  # names are few, and each is asked for twice a call
def model_of(name: str | None) -> Model:
    """Return how to count for ``name``; names nobody knows get o200k_base and ``listed=False``."""
    bare = normalized(name)
    family = max(
        (row for row in FAMILIES if _starts_with(bare, row.prefix)),
        key=lambda row: len(row.prefix),
        default=None,
    )
    if family is None:
        return Model(O200K, listed=False, bare=bare)
    return Model(
        family.encoding,
        listed=True,
        bare=bare,
        own_vocabulary=family.own_vocabulary,
        reasoning=family.reasoning,
        pictures=family.pictures,
        version=_version(bare),
        series=family.prefix,
        escapes_results=family.escapes_results,
    )


def encoding_name(model: str | None) -> tuple[str, bool]:
    """Return the encoding of ``model`` and whether it had to be assumed."""
    found = model_of(model)
    return found.encoding, not found.listed


def _starts_with(name: str, prefix: str) -> bool:
    # "o" alone stands for o1, o3, o5 ...: a digit must follow, or "ollama" would be a reasoning model.
    return name.startswith(prefix) and (prefix != "o" or name[1:2].isdigit())


def _version(bare: str) -> tuple[int, int]:
    match = _VERSION.match(bare)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)
