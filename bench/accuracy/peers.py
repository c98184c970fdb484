"""Counts prompts with two other libraries; run by bench/accuracy.py in an environment of its own.

Reads exchanges as JSON lines on stdin, prints ``{peer: [count or null, ...]}``. Neither library is told
of the response format, for want of a parameter for it.
"""

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any


def litellm_count(exchange: dict[str, Any]) -> int:
    from litellm import token_counter  # noqa: PLC0415 - seconds to import, wanted only here

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
    from langchain_core.messages import convert_to_messages  # noqa: PLC0415 - as above
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings  # noqa: F401, PLC0415 - as above

    if exchange["operation"] != "chat":
        raise NotImplementedError(exchange["operation"])
    model = ChatOpenAI(model=exchange["model"], api_key="none")
    return model.get_num_tokens_from_messages(convert_to_messages(exchange["request"]["messages"]))


def _text(exchange: dict[str, Any]) -> str:
    value = exchange["request"].get("input" if exchange["operation"] != "completions" else "prompt")
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return "".join(value)
    raise NotImplementedError(type(value).__name__)


PEERS: dict[str, Callable[[dict[str, Any]], int]] = {
    "litellm token_counter": litellm_count,
    "langchain-openai get_num_tokens_from_messages": langchain_count,
}


def main() -> None:
    exchanges = [json.loads(line) for line in sys.stdin]
    counts: dict[str, list[int | None]] = {peer: [] for peer in PEERS}
    for exchange in exchanges:
        for peer, count in PEERS.items():
            found: int | None = None
            with contextlib.suppress(Exception), contextlib.redirect_stdout(sys.stderr):
                found = count(exchange)
            counts[peer].append(found)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
