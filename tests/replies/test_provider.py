"""Whose service answered: decided by members of the answer, never by its text."""

import json

import pytest

from chargeback.replies.provider import is_azure
from chargeback.salvage import Decoded

OPENAI = {
    "id": "chatcmpl-AbCdEf",
    "created": 1790000000,
    "choices": [{"index": 0, "message": {"content": "yes"}}],
    "service_tier": "default",
}
AZURE = {**OPENAI, "choices": [{**OPENAI["choices"][0], "content_filter_results": {}}]}
UNFILTERED = {name: value for name, value in OPENAI.items() if name != "service_tier"}
RESPONSE = {"id": "resp_0c1", "object": "response", "output": [], "service_tier": "default"}
BODIES = {
    "a service tier, no verdict": (json.dumps(OPENAI), False),
    "both": (json.dumps(AZURE), True),
    "both, indented": (json.dumps(AZURE, indent=2), True),
    "both, decoded": (Decoded(AZURE), True),
    "decoded": (OPENAI, False),
    "a stream": (f"data: {json.dumps(OPENAI)}\n\ndata: [DONE]\n\n", False),
    "a stream, its first chunk judged": (
        f'data: {{"id":"","prompt_filter_results":[]}}\n\ndata: {json.dumps(OPENAI)}\n\n',
        True,
    ),
    "a response": (json.dumps(RESPONSE), False),
    "a response with verdicts": (json.dumps({**RESPONSE, "content_filters": []}), True),
    "neither, of 2026: a filter switched off": (json.dumps(UNFILTERED), True),
    "neither, of 2024": (json.dumps({**UNFILTERED, "created": 1720000000}), False),
    "remade by a policy": (json.dumps({"choices": OPENAI["choices"]}), True),
    "nothing": (None, True),
    "no text": ("", True),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_verdict_is_azures_mark_and_a_tier_without_one_openais(what: str) -> None:
    body, azure = BODIES[what]
    assert is_azure(body) is azure


def test_a_text_that_speaks_of_verdicts_is_no_verdict() -> None:
    said = {**OPENAI, "choices": [{"message": {"content": '{"content_filter_results": {}}'}}]}
    assert not is_azure(json.dumps(said))
