"""Function calls in the prompt's history and in answers: names, arguments and how several are framed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from chargeback.tokens.reader import as_object, as_text, compacted, objects


class Call(NamedTuple):
    name: str
    arguments: str


def calls_of(message: Mapping[str, Any]) -> list[Call]:
    """Return the calls of an assistant message: ``tool_calls``, or the one legacy ``function_call``."""
    if message.get("tool_calls") is None and message.get("function_call") is None:
        return []  # most messages, again in every turn
    modern = [
        as_object(entry.get("function") or entry.get("custom"))
        for entry in objects(message.get("tool_calls"))
    ]
    legacy = [as_object(message.get("function_call"))]
    return [
        Call(as_text(call.get("name")), as_text(call.get("arguments") or call.get("input")))
        for call in [*modern, *legacy]
        if call
    ]


def parallel_text(calls: Sequence[Call]) -> str:
    """Return several calls as the model wrote them: one call of a tool that runs others in parallel."""
    uses = ",".join(
        f'{{"recipient_name":"functions.{call.name}","parameters":{compacted(call.arguments)}}}'
        for call in calls
    )
    return f'{{"tool_uses":[{uses}]}}'


def written_in_parallel(call: Call) -> bool:
    """Tell whether a lone call was written as a list of one.

    A model writes arguments without blanks; the service puts them between the parts when it takes
    such a list apart. Every recorded answer of several calls has them.
    """
    spaced = compacted(call.arguments, spaced=True)
    return call.arguments == spaced != compacted(call.arguments)
