"""Counts prompts and answers with two other libraries; run by bench/accuracy.py in an environment of its own.

Reads what to count as JSON lines on stdin, prints ``{peer: [count or null, ...]}``. Neither library is told
of the response format, for want of a parameter for it; an answer is one text. Whatever a library raises counts
as "cannot"; what it raised, and how often, is told on stderr, so that a mistake of ours would be seen.
"""

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any


class NotCountableError(Exception):
    """The library has no method for such a request."""


def litellm_count(exchange: dict[str, Any]) -> int:
    # Without it the import asks the network for a newer price list.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    from litellm import token_counter

    if exchange["operation"] == "answer":
        return token_counter(model=exchange["model"], text=exchange["text"], count_response_tokens=True)
    request = exchange["request"]
    if exchange["operation"] == "chat":
        return token_counter(
            model=exchange["model"],
            messages=request["messages"],
            tools=request.get("tools"),
            tool_choice=request.get("tool_choice"),
        )
    return token_counter(model=exchange["model"], text=_text(exchange))


def langchain_count(exchange: dict[str, Any]) -> int:
    from langchain_core.messages import convert_to_messages
    from langchain_openai import ChatOpenAI

    if exchange["operation"] not in ("chat", "answer"):
        raise NotCountableError(exchange["operation"])
    model = ChatOpenAI(model=exchange["model"], api_key="none")
    if exchange["operation"] == "answer":
        return model.get_num_tokens(exchange["text"])
    return model.get_num_tokens_from_messages(convert_to_messages(exchange["request"]["messages"]))


def _text(exchange: dict[str, Any]) -> str:
    value = exchange["request"].get("input" if exchange["operation"] != "completions" else "prompt")
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return "".join(value)
    raise NotCountableError(type(value).__name__)


PEERS: dict[str, Callable[[dict[str, Any]], int]] = {
    "litellm": litellm_count,
    "langchain-openai": langchain_count,
}


def main() -> None:
    exchanges = [json.loads(line) for line in sys.stdin]
    counts: dict[str, list[int | None]] = {peer: [] for peer in PEERS}
    raised: Counter[tuple[str, str, str]] = Counter()
    for exchange in exchanges:
        for peer, count in PEERS.items():
            found: int | None = None
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    found = count(exchange)
            except Exception as error:  # noqa: BLE001  a peer's mistakes are its result
                raised[peer, exchange["operation"], type(error).__name__] += 1
            counts[peer].append(found)
    for (peer, operation, kind), times in sorted(raised.items()):
        print(f"{peer}: {operation}: {kind}, {times} times", file=sys.stderr)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
