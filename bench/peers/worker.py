"""The alternatives, in their own environment and process: times a round of each when it is told to.

bench/speed.py writes a JSON line a request, ``{"load": [bodies]}`` or ``{"run": candidate}``, and reads a
JSON line an answer; ``seconds`` is measured here, so the pipe costs nobody anything. Each candidate does what
a user of that library would write to bill the captured events, in the fewest calls its documentation offers.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = (
    "True"  # its price list comes from the package, not from a network
)
os.environ["LITELLM_LOG"] = "ERROR"

import orjson

MODEL = "azure/gpt-4o-2024-11-20"


def litellm_reported(bodies: list[bytes]) -> float:
    from litellm import ModelResponse, completion_cost

    total = 0.0
    for body in bodies:
        answer = orjson.loads(orjson.loads(body)["Response"])
        total += completion_cost(completion_response=ModelResponse(**answer), model=MODEL)
    return total


def litellm_answer(bodies: list[bytes]) -> float:
    """An answer without usage: prompt and answer are counted with ``token_counter``."""
    from litellm import cost_per_token, token_counter

    total = 0.0
    for body in bodies:
        event = orjson.loads(body)
        messages = orjson.loads(event["Request"])["messages"]
        text = orjson.loads(event["Response"])["choices"][0]["message"]["content"]
        prompt = token_counter(model=MODEL, messages=messages)
        completion = token_counter(model=MODEL, text=text)
        total += sum(cost_per_token(model=MODEL, prompt_tokens=prompt, completion_tokens=completion))
    return total


def litellm_stream(bodies: list[bytes]) -> float:
    """With or without usage: where there is none, ``stream_chunk_builder`` counts tokens itself."""
    from litellm import completion_cost, stream_chunk_builder
    from litellm.types.utils import ModelResponseStream

    total = 0.0
    for body in bodies:
        event = orjson.loads(body)
        chunks = [ModelResponseStream(**chunk) for chunk in _chunks(event["Response"])]
        messages = orjson.loads(event["Request"])["messages"]
        answer = stream_chunk_builder(chunks, messages=messages)
        total += completion_cost(completion_response=answer, model=MODEL)
    return total


def litellm_raw_stream(bodies: list[bytes]) -> float:
    """The chunks as plain dictionaries, which it happens to take although it is typed for its own."""
    from litellm import completion_cost, stream_chunk_builder

    total = 0.0
    for body in bodies:
        answer = stream_chunk_builder(list(_chunks(orjson.loads(body)["Response"])))
        total += completion_cost(completion_response=answer, model=MODEL)
    return total


def openai_stream(bodies: list[bytes]) -> int:
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from openai.types.chat import ChatCompletionChunk

    total = 0
    for body in bodies:
        state = ChatCompletionStreamState()
        for chunk in _chunks(orjson.loads(body)["Response"]):
            state.handle_chunk(ChatCompletionChunk.construct(**chunk))
        usage = state.get_final_completion().usage
        total += usage.total_tokens if usage else 0
    return total


def _chunks(text: str) -> Iterator[dict[str, Any]]:
    for line in text.split("\n\n"):
        if line.startswith("data: {"):
            chunk = orjson.loads(line[6:])
            if chunk["choices"] or chunk.get(
                "usage"
            ):  # both fail on the chunk of the prompt's filter results
                yield chunk


CANDIDATES: dict[str, Callable[[list[bytes]], float]] = {
    "litellm_reported": litellm_reported,
    "litellm_answer": litellm_answer,
    "litellm_stream": litellm_stream,
    "litellm_raw_stream": litellm_raw_stream,
    "openai_stream": openai_stream,
}


def main() -> None:
    bodies: list[bytes] = []
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not end up among the answers
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        if "load" in request:
            bodies = [body.encode() for body in request["load"]]
        else:
            start = time.process_time()
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    answer["result"] = CANDIDATES[request["run"]](bodies)
                answer["seconds"] = time.process_time() - start
            except Exception as error:  # noqa: BLE001 - told to the bench, which says so
                answer["error"] = f"{type(error).__name__}: {error}"[:200]
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
