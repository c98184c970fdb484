"""Calls, the clothes their events wear, and what a hub does to events, for hypothesis.

Whatever is drawn can be priced by the oracle and the sample rate table; whoever wants the unpriceable
asks for it by name.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.support import oracle
from tests.support.azure_bodies import Style
from tests.support.calls import FORMATS, Answer, Call, Counts, Format, Message, ToolCall
from tests.support.render import as_captured, can_render, render
from tests.support.sample_calls import CALLERS, PRICE_CHANGE, ROUTES, a_call

# What has broken parsers of captured bodies: framing inside the text, escapes, odd line ends, wide signs.
AWKWARD = (
    "data: 5\n\n",
    "data: [DONE]\n\n",
    '{"usage":{"prompt_tokens":1}}',
    '"',
    "\\",
    "\\u00e9",
    "\\n",
    "\r\n",
    "\n",
    "\t",
    "\x00",
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
    "é",
    "e\u0301",
    "Straße",
    "世界",
    "👋",
    "👩\u200d🚀",
    "<|endoftext|>",
    "<|im_start|>",
    " ",
    "The parcel has arrived.",
    "1234567",
)


def texts(*, min_size: int = 1) -> st.SearchStrategy[str]:
    """Any text without half surrogates, often made of what breaks parsers."""
    characters = st.characters(exclude_categories=["Cs"])
    pieces = st.one_of(st.sampled_from(AWKWARD), st.text(characters, min_size=1, max_size=8))
    return st.lists(pieces, min_size=min_size, max_size=6).map("".join)


def moments() -> st.SearchStrategy[datetime]:
    """Instants of the sample table's year, often close to the price change."""
    near = st.integers(-3_000_000, 3_000_000).map(lambda step: PRICE_CHANGE + timedelta(microseconds=step))
    year = st.datetimes(datetime(2026, 1, 2), datetime(2026, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  made aware
    return st.one_of(near, year)


def messages() -> st.SearchStrategy[tuple[Message, ...]]:
    roles = st.sampled_from(("system", "user", "assistant", "developer"))
    message = st.builds(Message, role=roles, text=texts(min_size=0), as_parts=st.booleans())
    return st.lists(message, min_size=1, max_size=4).map(tuple)


def plain_answers() -> st.SearchStrategy[Answer]:
    return st.builds(Answer, text=texts(), finish_reason=st.sampled_from(("stop", "stop", "length")))


def aborted_answers() -> st.SearchStrategy[Answer]:
    """Answers whose end never came, for ``calls(stream=True, usage_visible=False, answers=...)``."""
    return st.builds(Answer, text=texts(), finish_reason=st.none())


def calling_answers() -> st.SearchStrategy[Answer]:
    """Tool calls, a function call or a refusal: only a reported usage can price them here."""
    tool = st.builds(
        ToolCall,
        st.sampled_from(("find_parcel", "get_rate")),
        st.sampled_from(("{}", '{"query":"é\\n\\"👋"}')),
    )
    return st.one_of(
        st.builds(
            Answer,
            text=texts(min_size=0),
            tool_calls=st.lists(tool, min_size=1, max_size=3).map(tuple),
            finish_reason=st.just("tool_calls"),
        ),
        st.builds(Answer, function_call=tool, finish_reason=st.just("function_call")),
        st.builds(Answer, refusal=texts()),
    )


def counts() -> st.SearchStrategy[Counts]:
    """Provider's counts whose parts fit into their wholes."""

    @st.composite
    def draw_counts(draw: st.DrawFn) -> Counts:
        prompt, completion = draw(st.integers(0, 200_000)), draw(st.integers(0, 20_000))
        cached, reasoning = draw(st.integers(0, prompt)), draw(st.integers(0, completion))
        return Counts(prompt=prompt, completion=completion, cached=cached, reasoning=reasoning)

    return draw_counts()


@st.composite
def calls(draw: st.DrawFn, form: Format | None = None, **told: Any) -> Call:
    """Draw a call that was served, that ``form`` can tell of (any format without it), and that has a price.

    ``told`` fixes members of the call: ``calls(stream=True, usage_visible=False)``.
    """
    if form in _TEXT_ONLY and "operation" not in told:
        told["operation"] = draw(st.sampled_from(("chat", "chat", "completions")))
    return draw(
        _any_call({**_SHOWN.get(form, {}), **told}).filter(lambda call: form is None or _fits(call, form))
    )


_TEXT_ONLY = ("F3", "F4", "F5", "F6", "F9")
# What a format's policy needs to say anything: draw it rather than hope for it.
_SHOWN: dict[Format | None, dict[str, Any]] = {
    "v1": {"usage_visible": True},
    **{form: {"stream": False} for form in ("F9", "F10")},
    **{form: {"usage_visible": True, "stream": False} for form in ("F3", "F4", "F5", "F6", "F7")},
    **{form: {"usage_visible": True} for form in ("F12", "F16")},
    "F13": {"operation": "chat"},
    "F14": {"operation": "chat", "usage_visible": True},
}


@st.composite
def _any_call(draw: st.DrawFn, told: dict[str, Any]) -> Call:
    operation = told.get("operation") or draw(st.sampled_from(("chat", "chat", "completions", "embeddings")))
    route = ROUTES[draw(st.sampled_from(_ROUTES[operation]))]
    said = {"operation": operation, **draw(_BODIES[operation])}
    if operation != "embeddings":
        said["stream"] = draw(st.booleans())
    said["usage_visible"] = draw(st.booleans()) if "usage_visible" not in told else told["usage_visible"]
    if operation == "chat" and said["usage_visible"] and draw(st.booleans()):
        said["answers"] = draw(
            st.lists(st.one_of(plain_answers(), calling_answers()), min_size=1, max_size=3).map(tuple)
        )
    if route.model.startswith("gpt-5") and not said["usage_visible"]:
        route = ROUTES["mini"]  # what a model reasons unseen nobody can count
    usage = draw(counts())
    if operation != "chat":
        usage = Counts(
            prompt=usage.prompt, completion=usage.completion if operation == "completions" else 0, cached=None
        )
    caller = CALLERS[draw(st.sampled_from(sorted(CALLERS)))]
    number = draw(st.integers(1, 2**60))
    return a_call(caller, route, draw(moments()), number, **{"usage": usage, **said, **told})


def _fits(call: Call, form: Format) -> bool:
    return (
        can_render(call, form)
        and oracle.expected_cost(as_captured(call, form), oracle.sample_rates()) is not None
    )


_ROUTES = {
    "chat": ("mini", "chat", "chat-swc", "thinker"),
    "completions": ("instruct",),
    "embeddings": ("embed",),
}
_BODIES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "chat": st.fixed_dictionaries(
        {"messages": messages(), "answers": st.lists(plain_answers(), min_size=1, max_size=3).map(tuple)}
    ),
    "completions": st.fixed_dictionaries(
        {"prompt": texts(), "answers": st.lists(plain_answers(), min_size=1, max_size=2).map(tuple)}
    ),
    "embeddings": st.fixed_dictionaries(
        {"inputs": st.lists(texts(), min_size=1, max_size=4).map(tuple), "answers": st.just(())}
    ),
}


def formats() -> st.SearchStrategy[Format]:
    """Any format by which a call can have a price: F8 tells nothing but a total."""
    return st.sampled_from([form for form in FORMATS if form != "F8"])


def styles() -> st.SearchStrategy[Style]:
    """Every way to write down the same events, except halves of surrogate pairs (ask for those by name)."""
    return st.builds(
        Style,
        newline=st.sampled_from(("\r\n", "\n")),
        indent=st.booleans(),
        slice_size=st.integers(50, 500) | st.just(120_000),
        ascii=st.booleans(),
        filters=st.booleans(),
        pieces=st.lists(st.integers(1, 12), min_size=1, max_size=4).map(tuple),
        line_end=st.sampled_from(("\n", "\r\n", "\r")),
        bom=st.booleans(),
        space=st.booleans(),
        comments=st.booleans(),
        event_lines=st.booleans(),
        multi_line_data=st.booleans(),
        usage_null=st.booleans(),
        async_filter=st.booleans(),
        usage_choice=st.booleans(),
    )


# ---- what a gateway and a hub do to events


def splits(body: bytes) -> st.SearchStrategy[list[bytes]]:
    """The body in pieces, cut anywhere, also inside a character; joined they are the body."""
    places = st.lists(st.integers(0, len(body)), max_size=6).map(sorted)
    return places.map(lambda at: [body[a:b] for a, b in zip([0, *at], [*at, len(body)], strict=True)])


def cuts(body: bytes) -> st.SearchStrategy[int]:
    """How many bytes survive: any number, often a nasty one."""
    nasty = nasty_cuts(body)
    anywhere = st.integers(1, len(body) - 1)
    return st.one_of(anywhere, st.sampled_from(nasty)) if nasty else anywhere


def nasty_cuts(body: bytes) -> list[int]:
    """Right after a backslash, inside an escape, a character, a name, a usage block; one byte short of whole."""
    places = {len(body) - 1}
    for sign in (b"\\u", b"\\\\", b'\\"', b"data:", b'\\"usage\\":{', b",", b"}\\n\\n"):
        at = body.find(sign)
        while at >= 0:
            places |= {at + 1, at + len(sign), at + len(sign) + 2}
            at = body.find(sign, at + 1)
    places |= {at for at, byte in enumerate(body) if 0x80 <= byte < 0xC0}
    return sorted(place for place in places if 0 < place < len(body))


@dataclass(frozen=True)
class Delivery:
    """One event as the hub hands it out; the same ``sequence_number`` is the same event again."""

    sequence_number: int
    body: bytes


@dataclass(frozen=True)
class Traffic:
    """``calls`` as captured, each once; ``deliveries`` about them, shuffled and repeated."""

    form: Format
    calls: tuple[Call, ...]
    deliveries: tuple[Delivery, ...]


@st.composite
def traffic(
    draw: st.DrawFn, form: Format | None = None, *, most: int = 4, shuffled: bool = True, **told: Any
) -> Traffic:
    """Draw calls of one format and the events about them, in any order, some delivered more than once."""
    form = form or draw(formats())
    made = draw(
        st.lists(calls(form, **told), min_size=1, max_size=most, unique_by=lambda call: call.request_id)
    )
    style = draw(styles())
    bodies = [body for call in made for body in render(call, form, style)]
    once = [Delivery(number, body) for number, body in enumerate(bodies)]
    again = draw(st.lists(st.sampled_from(once), max_size=3))
    deliveries = draw(st.permutations(once + again)) if shuffled else once + again
    return Traffic(form, tuple(as_captured(call, form, style) for call in made), tuple(deliveries))
