"""How exact the token estimates are: recorded exchanges, counted without their usage, against it.

    python bench/accuracy.py DIR [--json] [--peers]

DIR holds ``*.jsonl`` or ``*.jsonl.gz``; a line is an object with ``id``, ``provider``, ``operation``,
``stream``, ``model``, ``request`` (object), ``response`` (raw body), ``usage`` and ``kind``.

What is *countable* is decided from the request and the operation alone, by the lists below, never from
a result. ``--peers`` counts the same with litellm and langchain-openai in an environment of their own
under build/ (bench/accuracy/peers.py).
"""

import argparse
import gzip
import json
import random
import subprocess
import sys
import venv
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from chargeback import tokens
from chargeback.event import Event, Stream
from chargeback.exchange import JoinState
from chargeback.pipeline import Context, process
from chargeback.replies import Reply, read_reply
from chargeback.tokens.models import model_of

Exchange = dict[str, Any]


class Measured(NamedTuple):
    """One side of one exchange."""

    group: str
    true: int
    estimated: int | None

    @property
    def error(self) -> int:
        return (self.estimated or 0) - self.true


# ---- what is countable ------------------------------------------------------------------------------

HOSTED_ITEMS = {
    "additional_tools",
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "computer_call",
    "computer_call_output",
    "configuration_update",
    "custom_tool_call",
    "custom_tool_call_output",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
}


def parts(request: Any) -> Iterator[dict[str, Any]]:
    """Every content part of messages, input items and tool outputs."""
    for entry in [*_list(request.get("messages")), *_list(request.get("input"))]:
        if isinstance(entry, dict):
            for content in (entry.get("content"), entry.get("output")):
                yield from (part for part in _list(content) if isinstance(part, dict))


def items(request: Any) -> list[str]:
    return [item.get("type") for item in _list(request.get("input")) if isinstance(item, dict)]


def remote_picture(request: Any) -> bool:
    for part in parts(request):
        if part.get("type") in ("image_url", "input_image"):
            named = part.get("image_url")
            url = named.get("url") if isinstance(named, dict) else named
            if not str(url or "").startswith("data:"):
                return True
    return False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _has_part(*kinds: str) -> Callable[[Any], bool]:
    return lambda request: any(part.get("type") in kinds for part in parts(request))


def _hosted(request: Any) -> bool:
    tools = [tool.get("type") for tool in _list(request.get("tools"))]
    return bool(set(tools) - {"function"} or HOSTED_ITEMS & set(items(request))) or bool(
        request.get("web_search_options")
    )


# Reason -> test of the request. Not countable on either side:
BOTH_SIDES: dict[str, Callable[[Any], bool]] = {
    "hosted tools": _hosted,
    "compaction": lambda request: bool(request.get("context_management")),
    "audio": lambda request: (
        _has_part("input_audio")(request) or "audio" in (request.get("modalities") or [])
    ),
}
# Not countable in the prompt:
PROMPT_ONLY: dict[str, Callable[[Any], bool]] = {
    "file": _has_part("file", "input_file"),
    "remote picture": remote_picture,
    "context held by the service": lambda request: (
        any(request.get(field) for field in ("previous_response_id", "conversation"))
        or (isinstance(request.get("prompt"), dict))
        or bool(set(items(request)) & {"item_reference", "compaction"})
    ),
    "sealed reasoning": lambda request: "reasoning" in items(request),
    "pro mode": lambda request: bool((request.get("reasoning") or {}).get("mode")),
    "suffix": lambda request: bool(request.get("suffix")),
    "gpt-35-turbo without a version": lambda request: request.get("model") == "gpt-35-turbo",
}


def why_not(exchange: Exchange, *tables: dict[str, Callable[[Any], bool]]) -> str | None:
    return next((why for table in tables for why, test in table.items() if test(exchange["request"])), None)


# ---- the seam to the product ------------------------------------------------------------------------


class Counted(NamedTuple):
    reply: Reply | None
    prompt: tokens.Estimate
    completion: tokens.Estimate


def estimated(exchange: Exchange) -> Counted:
    """Count as the product does; the recording's provider is known here, so its rules are used."""
    body = without_usage(exchange["response"])
    operation, request, model = exchange["operation"], exchange["request"], exchange["model"]
    azure = exchange["provider"] == "azure"
    reply = read_reply(body, operation)
    return Counted(
        reply,
        tokens.prompt_tokens(
            operation, request, model, azure=azure, response_id=reply.response_id if reply else None
        ),
        tokens.completion_tokens(reply, request, model, azure=azure) if reply else tokens.Estimate(None),
    )


def through_pipeline(exchange: Exchange) -> tuple[int | None, int | None]:
    """The same call as a captured event through the whole product, which is not told the provider."""
    words = {
        "chat": "ChatCompletion",
        "completions": "Completion",
        "embeddings": "Embedding",
        "responses": "Response",
    }
    event = {
        "eventTime": "2026-11-02T09:42:00.41Z",
        "apiOperation": words[exchange["operation"]],
        "appSubscriptionKey": "0" * 32,
        "request": json.dumps(exchange["request"], ensure_ascii=False),
        "response": without_usage(exchange["response"]),
    }
    stream = Stream(namespace="bench", event_hub="bench", generation=1, partition="0")
    body = json.dumps(event).encode()
    outcome = process(
        [Event(stream=stream, sequence_number=1, position=1, body=body, enqueued_at=None)],
        JoinState(),
        Context(),
    )
    row = outcome.entries[0].rows[-1]
    return getattr(row, "prompt_tokens", None), getattr(row, "completion_tokens", None)


def without_usage(body: str) -> str:
    """Remove every usage block, of a JSON body or of a stream's events."""
    if body.lstrip().startswith("{"):
        return json.dumps(_bare(json.loads(body)), ensure_ascii=False)
    lines: list[str] = []
    for line in body.split("\n"):
        text = line.rstrip("\r")
        if text.startswith("data: {"):
            text = "data: " + json.dumps(_bare(json.loads(text[6:])), ensure_ascii=False)
        lines.append(text)
    return "\n".join(lines)


def _bare(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: _bare(entry) if key == "response" else entry for key, entry in value.items() if key != "usage"
    }


# ---- truth ------------------------------------------------------------------------------------------


def true_prompt(usage: dict[str, Any]) -> int:
    return usage.get("prompt_tokens", usage.get("input_tokens")) or 0


def true_completion(usage: dict[str, Any]) -> int:
    """What was billed for the answer's visible part."""
    billed = usage.get("completion_tokens", usage.get("output_tokens")) or 0
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    return billed - (details.get("reasoning_tokens") or 0)


# ---- groups and figures -----------------------------------------------------------------------------


def answer_group(exchange: Exchange, reply: Reply) -> str:
    calls = any(choice.tool_calls or choice.function_call for choice in reply.choices) or any(
        item.get("type") in ("function_call", "custom_tool_call") for item in reply.output
    )
    thinks = "reasoning, visible part: " if model_of(exchange["model"]).thinks else ""
    return f"{exchange['operation']} {thinks}{'tool calls' if calls else 'text'}"


def figures(rows: list[Measured]) -> dict[str, Any]:
    errors = sorted(abs(row.error) for row in rows)
    billed = sum(row.true for row in rows)
    return {
        "n": len(rows),
        "exact": round(100 * sum(error == 0 for error in errors) / len(rows), 1),
        "within_2": round(100 * sum(error <= 2 for error in errors) / len(rows), 1),
        "mean": round(sum(errors) / len(rows), 2),
        "p95": errors[min(len(errors) - 1, int(0.95 * len(errors)))],
        "signed": round(100 * sum(row.error for row in rows) / billed, 2) if billed else None,
    }


def table(rows: Iterable[Measured]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Measured]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    return {name: figures(group) for name, group in sorted(groups.items())}


# ---- money ------------------------------------------------------------------------------------------

# USD per million tokens in and out, list prices of 2026 as far as known; names without a row of their own
# take the longest prefix. Only the proportion matters here: every figure is an error in per cent.
PRICES = {
    "gpt-4o": (2.5, 10.0),
    "gpt-4o-mini": (0.15, 0.6),
    "gpt-4.1": (2.0, 8.0),
    "gpt-4.1-mini": (0.4, 1.6),
    "gpt-4.1-nano": (0.1, 0.4),
    "gpt-4.5": (75.0, 150.0),
    "gpt-5": (1.25, 10.0),
    "gpt-5-mini": (0.25, 2.0),
    "gpt-5-nano": (0.05, 0.4),
    "gpt-5.2": (1.75, 14.0),
    "o": (1.1, 4.4),
    "gpt-4": (10.0, 30.0),
    "gpt-4-0613": (30.0, 60.0),
    "gpt-3": (0.5, 1.5),
    "text-embedding": (0.02, 0.0),
    "": (2.0, 8.0),
}
GROUP, DRAWS, SEED = 50, 2000, 4
BILLED = "countable, without recordings whose prompt is said to be 0"


def price(model: str) -> tuple[float, float]:
    return PRICES[max((prefix for prefix in PRICES if model.startswith(prefix)), key=len)]


class Cost(NamedTuple):
    true: float
    estimated: float


def money(costs: list[Cost]) -> dict[str, Any]:
    draw = random.Random(SEED)
    errors = sorted(_money_error(draw.sample(costs, min(GROUP, len(costs)))) for _ in range(DRAWS))
    return {
        "calls": len(costs),
        "total_error": round(100 * _signed(costs), 3),
        "p95_of_groups_of_50": round(100 * errors[int(0.95 * DRAWS)], 3),
    }


def _signed(costs: list[Cost]) -> float:
    true = sum(cost.true for cost in costs)
    return (sum(cost.estimated for cost in costs) - true) / true if true else 0.0


def _money_error(costs: list[Cost]) -> float:
    return abs(_signed(costs))


# ---- what issue 4 asks to be shown ------------------------------------------------------------------

_R = "reasoning"


def _words(row: Measured) -> set[str]:
    return set(row.group.split(" ", 1)[1].split("+"))


ASKED: tuple[tuple[str, float, Callable[[Measured], bool]], ...] = (
    ("chat text", 99.5, lambda row: row.group == "chat text"),
    ("chat tool definitions", 93, lambda row: row.group.startswith("chat") and "tools" in _words(row)),
    ("chat tool results", 93, lambda row: row.group.startswith("chat") and "tool_results" in _words(row)),
    ("chat json_schema", 92, lambda row: row.group.startswith("chat") and "json_schema" in _words(row)),
    (
        "base64 images and reasoning text",
        98,
        lambda row: row.group.startswith("chat") and ("image" in _words(row) or _words(row) == {_R}),
    ),
    ("all chat", 97, lambda row: row.group.startswith("chat")),
    ("embeddings", 99, lambda row: row.group.startswith("embeddings")),
    ("completions", 97, lambda row: row.group.startswith("completions")),
    ("Responses API", 92, lambda row: row.group.startswith("responses")),
)
ANSWERS_ASKED = (
    ("chat text", 96, "chat text"),
    ("chat tool calls", 90, "chat tool calls"),
    ("legacy completions", 98, "completions text"),
    ("Responses text", 93, "responses text"),
    ("Responses tool calls", 93, "responses tool calls"),
)


# ---- running ----------------------------------------------------------------------------------------


def read(folder: Path) -> Iterator[Exchange]:
    for path in sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")]):
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8") as lines
        ):
            yield from (json.loads(line) for line in lines if line.strip())


def run(folder: Path) -> dict[str, Any]:
    prompts: list[Measured] = []
    answers: list[Measured] = []
    streams: dict[bool, list[Measured]] = {True: [], False: []}
    costs: dict[str, list[Cost]] = {"countable": [], BILLED: [], "all": []}
    grades: dict[str, int] = defaultdict(int)
    reasons: dict[str, int] = defaultdict(int)
    unnoted = chat = chat_countable = agreed = total = 0
    for exchange in read(folder):
        total += 1
        counted = estimated(exchange)
        name = f"{exchange['operation']} {exchange['kind']}"
        why_prompt = why_not(exchange, BOTH_SIDES, PROMPT_ONLY)
        row = Measured(name, true_prompt(exchange["usage"]), counted.prompt.tokens)
        answer = Measured("", true_completion(exchange["usage"]), counted.completion.tokens)
        grades[tokens.grade(counted.prompt.notes)] += 1
        agreed += through_pipeline(exchange) == (counted.prompt.tokens, counted.completion.tokens)
        chat += exchange["operation"] == "chat"
        if why_prompt:
            reasons[f"{exchange['operation']}: {why_prompt}"] += 1
            unnoted += tokens.grade(counted.prompt.notes) in ("exact", "unknown")
        else:
            prompts.append(row)
            chat_countable += exchange["operation"] == "chat"
        if not why_not(exchange, BOTH_SIDES) and counted.reply and exchange["operation"] != "embeddings":
            answer = answer._replace(group=answer_group(exchange, counted.reply))
            answers.append(answer)
            if "visible" not in answer.group:
                streams[bool(exchange["stream"])].append(answer)
        into, out = price(exchange["model"] or "")
        cost = Cost(
            row.true * into + answer.true * out, (row.estimated or 0) * into + (answer.estimated or 0) * out
        )
        costs["all"].append(cost)
        if not why_prompt:
            # What a reasoning model thought is not in the bodies: of those calls the prompt's money counts.
            thinks = model_of(exchange["model"]).thinks
            known = Cost(row.true * into, (row.estimated or 0) * into) if thinks else cost
            costs["countable"].append(known)
            # Nobody was billed nothing for a prompt: such a recording has no true price to compare with.
            if row.true:
                costs[BILLED].append(known)
    return {
        "exchanges": total,
        "prompts": table(prompts),
        "answers": table(answers),
        "asked_prompts": [
            {"what": what, "asked": asked, **figures(chosen)}
            for what, asked, test in ASKED
            if (chosen := [row for row in prompts if test(row)])
        ],
        "asked_answers": [
            {"what": what, "asked": asked, **figures(chosen)}
            for what, asked, group in ANSWERS_ASKED
            if (chosen := [row for row in answers if row.group == group])
        ],
        "streams": {"streamed" if key else "whole": figures(rows) for key, rows in streams.items() if rows},
        "chat_countable": round(100 * chat_countable / max(chat, 1), 1),
        "not_countable": dict(sorted(reasons.items())),
        "not_countable_without_a_note": unnoted,
        "grades": dict(sorted(grades.items())),
        "money": {name: money(group) for name, group in costs.items() if group},
        "pipeline_agrees": f"{agreed} of {total} exchanges",
    }


def peers(folder: Path) -> dict[str, Any]:
    """Count the same with the peers, in their own environment: peer -> what was asked -> figures."""
    home = ROOT / "build" / "accuracy-peers"
    python = home / "bin" / "python"
    script = ROOT / "bench" / "accuracy" / "peers.py"
    if not python.exists():
        venv.create(home, with_pip=True)
        wanted = [str(python), "-m", "pip", "install", "--quiet", "-r", str(script.with_name("peers.txt"))]
        subprocess.run(wanted, check=True)
    sides = [side for exchange in read(folder) for side in _sides(exchange)]
    lines = "\n".join(json.dumps(question) for _, question in sides)
    done = subprocess.run([str(python), str(script)], input=lines, capture_output=True, text=True, check=True)
    results: dict[str, dict[str, Any]] = {}
    for peer, counts in json.loads(done.stdout).items():
        rows = [
            side._replace(estimated=count)
            for (side, _), count in zip(sides, counts, strict=True)
            if count is not None
        ]
        results[peer] = {
            f"{what}{suffix}": figures(group)
            for suffix, what, test in _asked_of_both_sides()
            if (group := [row for row in rows if row.group.endswith(ANSWER) == bool(suffix) and test(row)])
        }
    return results


PROMPT, ANSWER = "", " answers"
"""What the names of a peer's figures end with."""


def _asked_of_both_sides() -> Iterator[tuple[str, str, Callable[[Measured], bool]]]:
    for what, _, test in ASKED:
        yield PROMPT, what, test
    for what, _, group in ANSWERS_ASKED:
        yield ANSWER, what, lambda row, wanted=group + ANSWER: row.group == wanted


def _sides(exchange: Exchange) -> Iterator[tuple[Measured, dict[str, Any]]]:
    """Yield what a peer is asked to count: the request, and the answer as one text."""
    operation, model = exchange["operation"], exchange["model"]
    if not why_not(exchange, BOTH_SIDES, PROMPT_ONLY):
        row = Measured(f"{operation} {exchange['kind']}", true_prompt(exchange["usage"]), None)
        yield row, {"operation": operation, "model": model, "request": exchange["request"]}
    reply = read_reply(without_usage(exchange["response"]), operation)
    if not why_not(exchange, BOTH_SIDES) and reply and operation != "embeddings":
        row = Measured(answer_group(exchange, reply) + ANSWER, true_completion(exchange["usage"]), None)
        yield row, {"operation": "answer", "model": model, "text": "".join(_generated(reply))}


def _generated(reply: Reply) -> Iterator[str]:
    """Yield the visible texts of an answer, names and arguments of its calls included."""
    for choice in reply.choices:
        yield choice.content + choice.refusal
        legacy = [choice.function_call] if choice.function_call else []
        for call in [*choice.tool_calls, *legacy]:
            yield call.name + call.arguments
    for item in reply.output:
        yield "".join(str(part.get("text") or "") for part in _list(item.get("content")))
        yield str(item.get("name") or "") + str(item.get("arguments") or "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--peers", action="store_true", help="count with litellm and langchain-openai too")
    options = parser.parse_args()
    if not any(True for _ in read(options.folder)):
        print(f"{options.folder}: no exchanges; expected *.jsonl or *.jsonl.gz", file=sys.stderr)
        return 2
    result = run(options.folder)
    if options.peers:
        result["peers"] = peers(options.folder)
    print(json.dumps(result, indent=1) if options.json else rendered(result))
    return 0


def rendered(result: dict[str, Any]) -> str:
    lines = [f"{result['exchanges']} exchanges; {result['chat_countable']} % of the chat ones countable", ""]
    for title, key in (("Prompts", "prompts"), ("Answers (visible part)", "answers")):
        lines += [f"{title:50}{'n':>6}{'exact %':>9}{'in 2 %':>8}{'mean':>9}{'p95':>7}{'sum %':>9}"]
        lines += [_line(name, row) for name, row in result[key].items()] + [""]
    lines += ["Asked: exact % of prompts, then of answers"]
    for side, key in ((PROMPT, "asked_prompts"), (ANSWER, "asked_answers")):
        lines += [_asked_line(row, side, result.get("peers", {})) for row in result[key]]
    for name, row in result["streams"].items():
        lines.append(f"  answers {name:32}{row['n']:>6}  exact {row['exact']}")
    for name, row in result["money"].items():
        lines.append(
            f"  money, {name}: {row['calls']} calls: total error {row['total_error']} %, p95 of groups of 50 {row['p95_of_groups_of_50']} %"
        )
    lines += ["", "Not countable: " + "; ".join(f"{why} {n}" for why, n in result["not_countable"].items())]
    lines += [f"Not countable and without a note that says so: {result['not_countable_without_a_note']}"]
    lines += [
        "Prompt estimates by grade: " + ", ".join(f"{word} {n}" for word, n in result["grades"].items())
    ]
    lines += [f"The whole pipeline gives the same counts: {result['pipeline_agrees']}"]
    return "\n".join(lines)


def _asked_line(row: dict[str, Any], side: str, peers: dict[str, Any]) -> str:
    met = "met" if row["exact"] >= row["asked"] else "MISSED"
    line = f"  {row['what']:34}{row['n']:>6}  asked {row['asked']:>5}  measured {row['exact']:>5}  {met:6}  sum {row['signed']:>6} %"
    for peer, groups in peers.items():
        theirs = groups.get(row["what"] + side)
        found = f"{theirs['exact']:>5} of {theirs['n']}, sum {theirs['signed']} %" if theirs else "cannot"
        line += f"  | {peer}: {found}"
    return line


def _line(name: str, row: dict[str, Any]) -> str:
    return f"{name:50}{row['n']:>6}{row['exact']:>9}{row['within_2']:>8}{row['mean']:>9}{row['p95']:>7}{row['signed'] if row['signed'] is not None else '-':>9}"


if __name__ == "__main__":
    sys.exit(main())
