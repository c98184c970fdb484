"""The closed list of words that say how an estimate came about and what it cannot know.

A charge carries the words, so a report can tell how much of a bill is exact, close, or only
a bound. Grades of a word:

exact        a rule that reproduces the provider's own count on recorded exchanges
close        a rule that is usually within a few tokens, or an assumption about the model
lower_bound  something billed could not be seen or counted
upper_bound  what was counted may have been billed only in part
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

Grade = Literal["exact", "close", "lower_bound", "upper_bound", "unknown"]


class Note(NamedTuple):
    grade: Grade
    meaning: str


NOTES: dict[str, Note] = {
    # Rules that were applied.
    "counted_text": Note("exact", "messages, instructions, prompts or the answer's text were counted"),
    "counted_token_ids": Note("exact", "the input was given as token ids; their number was taken"),
    "counted_tools": Note("exact", "function definitions were rendered as the model sees them and counted"),
    "counted_tool_calls": Note("exact", "function calls or their results were counted"),
    "counted_json_schema": Note("exact", "the response format's schema was counted"),
    "counted_images": Note("exact", "pictures were counted from the size in their header"),
    # Rules known to be off by a few tokens.
    "encoding_assumed": Note("close", "the model is not in the table; o200k_base was assumed"),
    "preamble_assumed": Note("close", "the service put a text of its own first; only its size is known"),
    "model_version_unknown": Note("close", "the model's framing changed between versions and none is named"),
    "tokenizer_close": Note("close", "the model's own vocabulary is not packaged; a related one was used"),
    "endless_word_close": Note(
        "close", "a text without a break was counted in pieces, a token apart at each"
    ),
    "image_detail_assumed": Note("close", "a picture's detail is not a documented word; high was assumed"),
    "tool_rules_close": Note("close", "a function schema uses keywords whose rendering is not fully known"),
    "tool_calls_close": Note("close", "several calls in one turn, whose framing is not fully known"),
    "schema_too_large": Note(
        "lower_bound", "a function schema exceeds the work limit; its rest was left out"
    ),
    # What cannot be known from the captured bodies.
    "aborted": Note("lower_bound", "the answer's end was not captured; what was generated later is missing"),
    "audio": Note("lower_bound", "audio is billed by duration, which the bodies do not tell"),
    "best_of_hidden": Note("lower_bound", "best_of generated answers that were not returned"),
    "body_cut": Note("lower_bound", "the captured body was cut; the text after the cut is missing"),
    "content_filtered": Note("lower_bound", "the filter removed text that was generated and billed"),
    "file": Note("lower_bound", "a file's content is not in the body"),
    "hosted_tools": Note("lower_bound", "a tool run by the service adds text that is not in the body"),
    "reasoning_not_visible": Note("lower_bound", "reasoning tokens are billed but not shown"),
    "remote_image": Note("lower_bound", "a picture is named by URL or id; its size is not in the body"),
    "replayed_reasoning": Note("lower_bound", "reasoning from earlier turns was sent back in a sealed form"),
    "server_held_context": Note("lower_bound", "earlier turns or templates are kept by the service"),
    "service_instructions": Note("lower_bound", "a mode of the service that adds instructions of its own"),
    "suffix": Note("lower_bound", "the framing of a prompt with suffix is not known"),
    "unreadable_image": Note("lower_bound", "an inline picture's size could not be read"),
    "unknown_part": Note("lower_bound", "a part of the body has a type or shape these rules do not know"),
}

_ORDER: tuple[Grade, ...] = ("exact", "close", "upper_bound", "lower_bound")


def grade(notes: Iterable[str]) -> Grade:
    """Return the weakest grade among ``notes``; ``unknown`` when none of the words is ours.

    A bound outweighs closeness: one remote picture makes the whole figure a lower bound.
    """
    grades: list[Grade] = [NOTES[word].grade for word in notes if word in NOTES]
    return max(grades, key=_ORDER.index) if grades else "unknown"
