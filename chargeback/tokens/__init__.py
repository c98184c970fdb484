"""Tokens of a call whose answer reports no usage: counted with the provider's own vocabularies.

``prompt_tokens`` and ``completion_tokens`` take what a stranger sent and never raise for its
content; what they cannot know is said in fixed words (`notes.py`). docs/token-counting.md has
the rules, their evidence and how exact they are.
"""

from collections.abc import Callable, Mapping
from typing import Any

from chargeback.replies.reply import Reply
from chargeback.tokens.chat import count_chat
from chargeback.tokens.completions import count_completions, count_embeddings
from chargeback.tokens.counting import count_text
from chargeback.tokens.eras import had_preamble
from chargeback.tokens.generated import (
    count_chat_answer,
    count_completions_answer,
    count_no_answer,
    count_responses_answer,
)
from chargeback.tokens.models import encoding_name, model_of
from chargeback.tokens.notes import NOTES, grade
from chargeback.tokens.reader import as_object
from chargeback.tokens.responses import count_responses
from chargeback.tokens.tally import Estimate, Tally

__all__ = ["NOTES", "Estimate", "completion_tokens", "count_text", "encoding_name", "grade", "prompt_tokens"]


_PROMPTS: Mapping[str, Callable[[Tally, Mapping[str, Any]], None]] = {
    "chat": count_chat,
    "completions": count_completions,
    "responses": count_responses,
    "embeddings": count_embeddings,
}

_ANSWERS: Mapping[str, Callable[[Tally, Reply], None]] = {
    "chat": count_chat_answer,
    "completions": count_completions_answer,
    "responses": count_responses_answer,
    "embeddings": count_no_answer,
}


def prompt_tokens(
    operation: str,
    request: Mapping[str, Any] | None,
    model: str | None,
    *,
    azure: bool = True,
    response_id: str | None = None,
) -> Estimate:
    """Count what was sent. ``None`` tokens without a body, or for an operation without a text.

    The answer's id dates the call: OpenAI's Responses API was billed otherwise in its first weeks.
    """
    count = _PROMPTS.get(operation)
    if count is None or not as_object(request):
        return Estimate(None)
    tally = Tally(model_of(model), azure=azure, preamble=not azure and had_preamble(response_id))
    count(tally, as_object(request))
    return tally.estimate()


def completion_tokens(
    reply: Reply, request: Mapping[str, Any] | None, model: str | None, *, azure: bool = True
) -> Estimate:
    """Count what was answered. ``None`` tokens when there is no answer that could be counted."""
    count = _ANSWERS.get(reply.operation)
    if count is None or not (reply.choices or reply.output or reply.operation == "embeddings"):
        return Estimate(None)
    tally = Tally(model_of(model or reply.model), azure=azure, request=as_object(request))
    count(tally, reply)
    return tally.estimate()
