"""Figures 1 to 7: event bytes -> rows, the whole pure path, beside floors and peers.

Ours is ``pipeline.process`` in batches of 100, with repeats recognised, prices looked up and every row made.
A floor is the fewest lines that do what cannot be left out, with the faster of orjson and msgspec; the event
itself is decoded on both sides. No round sees an event, a text or a chat twice.
"""

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pydantic_core
from measure import Check, Figure, Options, Seconds, interleaved, ratio
from traffic import Traffic, table

from chargeback.event import Event
from chargeback.exchange import JoinState
from chargeback.journal import rows
from chargeback.pipeline import Context, process
from chargeback.tokens.encodings import O200K, _tokenizer

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "build" / "bench-peers"
BATCH = 100
Events = list[Event]
Json = Callable[[Any], Any]


def figures(options: Options) -> Iterator[Figure]:
    bench = Bench(options)
    try:
        for name, measure in FIGURES.items():
            if options.wants(name):
                yield measure(bench)
    finally:
        bench.peers.close()


class Bench:
    """One run: its traffic, its rate table, its peers."""

    def __init__(self, options: Options) -> None:
        self.rounds = options.rounds
        self.traffic = Traffic(options.seed)
        self.context = Context(table=table())
        self.peers = Peers()
        self.encode = _tokenizer(O200K).encode_ordinary
        self.decoders: dict[str, Json] = {"msgspec": msgspec.json.Decoder().decode, "orjson": orjson.loads}

    def ours(self, events: Events) -> None:
        state = JoinState()
        for batch in _batched(events):
            state = process(batch, state, self.context).state

    def compare(
        self,
        make: Callable[[], Events],
        floors: dict[str, Callable[[Events, Json], object]],
        peers: dict[str, str],
    ) -> dict[str, float | None]:
        """Return microseconds an event: of ours, of each floor with the faster decoder, of each peer."""
        rounds = [make() for _ in range(self.rounds + 1)]
        count = len(rounds[0])
        candidates: dict[str, Callable[[], object]] = {"ours": _each(rounds, self.ours)}
        for name, floor in floors.items():
            for decoder, loads in self.decoders.items():
                candidates[f"{name}|{decoder}"] = _each(rounds, lambda events, f=floor, d=loads: f(events, d))
        for name, candidate in peers.items():
            if self.peers.available:
                candidates[name] = _each(rounds, lambda events, c=candidate: self.peers.run(c, events))
        seconds = interleaved(candidates, self.rounds, clock=time.process_time)
        found: dict[str, float | None] = {"ours": seconds["ours"]}
        for name in floors:
            found[name] = min(value for each, value in seconds.items() if each.startswith(f"{name}|"))
        found |= {name: seconds.get(name) for name in peers}
        return {name: None if value is None else value / count * 1e6 for name, value in found.items()}


def _each(rounds: list[Events], run: Callable[[Events], object]) -> Callable[[], object]:
    """Give a candidate the next round's events each time it is called."""
    left = iter(rounds)
    return lambda: run(next(left))


def _batched(events: Events) -> Iterator[Events]:
    return (events[start : start + BATCH] for start in range(0, len(events), BATCH))


# ---- figures


def reported(bench: Bench) -> Figure:
    others = bench.compare(
        lambda: bench.traffic.reported(400), {"floor": floor_reported}, {"litellm": "litellm_reported"}
    )
    ours = _ours(others)
    checks = (
        Check("x floor", ratio(ours, others["floor"]), 10),
        Check("x faster than litellm", ratio(others["litellm"], ours), 6, "at least"),
    )
    return Figure("reported", "a call with usage, 3.9 KB", "us an event", ours, others, checks)


def stream_usage(bench: Bench) -> Figure:
    others = bench.compare(
        lambda: bench.traffic.streams(20, usage=True),
        {"decode every chunk": floor_stream},
        {
            "litellm": "litellm_stream",
            "litellm, given untyped chunks": "litellm_raw_stream",
            "openai's accumulator": "openai_stream",
        },
    )
    ours = _ours(others)
    checks = (
        Check("x decoding every chunk", ratio(ours, others["decode every chunk"]), 0.35),
        Check("x faster than litellm", ratio(others["litellm"], ours), 40, "at least"),
        Check("x faster than openai's", ratio(others["openai's accumulator"], ours), 80, "at least"),
    )
    what = "a stream of 400 chunks with usage, 205 KB"
    return Figure("stream with usage", what, "us an event", ours, others, checks)


def stream_no_usage(bench: Bench) -> Figure:
    floor = "decode every chunk + tiktoken"
    others = bench.compare(
        lambda: bench.traffic.streams(20, usage=False),
        {floor: lambda events, loads: floor_counted(events, loads, bench.encode)},
        {"litellm": "litellm_stream"},
    )
    ours = _ours(others)
    checks = (Check(f"x {floor}", ratio(ours, others[floor]), 0.8),)
    what = "the same without usage, 200 KB: counted"
    return Figure("stream without usage", what, "us an event", ours, others, checks)


def conversation(bench: Bench) -> Figure:
    what = "chats of 20 turns without usage, one system prompt: counted"
    return _conversation(bench, "conversation", what, "litellm_answer", streamed=False)


def conversation_streamed(bench: Bench) -> Figure:
    what = "the same, the answers in 100 chunks"
    return _conversation(bench, "conversation, streamed", what, "litellm_stream", streamed=True)


def _conversation(bench: Bench, name: str, what: str, peer: str, *, streamed: bool) -> Figure:
    floor = "decode + tiktoken on everything"
    read = floor_counted if streamed else floor_counted_answers
    others = bench.compare(
        lambda: bench.traffic.conversations(10, streamed=streamed),
        {floor: lambda events, loads: read(events, loads, bench.encode)},
        {"litellm": peer},
    )
    ours = _ours(others)
    checks = (Check(f"x {floor}", ratio(ours, others[floor]), 0.35),)
    return Figure(name, what, "us an event", ours, others, checks)


def cut(bench: Bench) -> Figure:
    others = bench.compare(lambda: bench.traffic.cut(5), {"floor": floor_cut(bench)}, {})
    ours = _ours(others)
    what = "a stream cut at 200 KB: what is whole is counted"
    return Figure("cut", what, "us an event", ours, others)


def parts(bench: Bench) -> Figure:
    others = bench.compare(lambda: bench.traffic.parts(4), {"floor": floor_parts}, {})
    ours = _ours(others)
    what = "a body in slices: joined, then its usage taken"
    return Figure("parts", what, "us an event", ours, others)


def flat(bench: Bench) -> Figure:
    flats = [bench.traffic.flat(400) for _ in range(bench.rounds + 1)]
    reporteds = [bench.traffic.reported(400) for _ in range(bench.rounds + 1)]
    seconds = interleaved(
        {"ours": _each(flats, bench.ours), "reported": _each(reporteds, bench.ours)},
        bench.rounds,
        clock=time.process_time,
    )
    us = {name: value / 400 * 1e6 for name, value in seconds.items()}
    checks = (Check("x a reported event", ratio(us["ours"], us["reported"]), 1.5),)
    others = {"a reported event": us["reported"]}
    return Figure("flat", "counts without bodies, 0.2 KB", "us an event", us["ours"], others, checks)


def journal_rows(bench: Bench) -> Figure:
    """Beside the seven: what the journal adds to an event before it is sent."""
    outcome = process(bench.traffic.reported(BATCH), JoinState(), bench.context)
    charges = [row for entry in outcome.entries for row in entry.rows]
    seconds = interleaved(
        {
            "ours": lambda: [rows.encode(row) for _ in range(10) for row in charges],
            "floor": lambda: [msgspec.json.encode(row) for _ in range(10) for row in charges],
        },
        bench.rounds,
        clock=time.process_time,
    )
    us = {name: value / len(charges) / 10 * 1e6 for name, value in seconds.items()}
    others = {"msgspec alone": us["floor"]}
    return Figure("journal row", "a charge to its line", "us a charge", us["ours"], others)


FIGURES: dict[str, Callable[[Bench], Figure]] = {
    "reported": reported,
    "stream with usage": stream_usage,
    "stream without usage": stream_no_usage,
    "conversation": conversation,
    "conversation, streamed": conversation_streamed,
    "cut": cut,
    "parts": parts,
    "flat": flat,
    "journal row": journal_rows,
}


def _ours(measured: dict[str, float | None]) -> float:
    ours = measured.pop("ours")
    assert ours is not None
    return ours


# ---- floors


def floor_reported(events: Events, loads: Json) -> float:
    total = 0.0
    for event in events:
        body = loads(event.body)
        loads(body["Request"])
        usage = loads(body["Response"])["usage"]
        total += usage["prompt_tokens"] * 2.5e-6 + usage["completion_tokens"] * 1e-5
    return total


def floor_stream(events: Events, loads: Json) -> int:
    total = 0
    for event in events:
        for chunk in _chunks(loads(event.body)["Response"], loads):
            if usage := chunk.get("usage"):
                total += usage["total_tokens"]
    return total


def floor_counted(events: Events, loads: Json, encode: Callable[[str], list[int]]) -> int:
    total = 0
    for event in events:
        body = loads(event.body)
        total += sum(len(encode(each["content"])) for each in loads(body["Request"])["messages"])
        total += len(encode(_answer(_chunks(body["Response"], loads))))
    return total


def floor_counted_answers(events: Events, loads: Json, encode: Callable[[str], list[int]]) -> int:
    total = 0
    for event in events:
        body = loads(event.body)
        total += sum(len(encode(each["content"])) for each in loads(body["Request"])["messages"])
        total += len(encode(loads(body["Response"])["choices"][0]["message"]["content"]))
    return total


def floor_cut(bench: Bench) -> Callable[[Events, Json], int]:
    """Only pydantic-core reads JSON that ends too early; the rest is as in ``floor_counted``."""

    def floor(events: Events, loads: Json) -> int:
        total = 0
        for event in events:
            body = pydantic_core.from_json(event.body, allow_partial="trailing-strings")
            total += sum(len(bench.encode(each["content"])) for each in loads(body["Request"])["messages"])
            whole = body["Response"].rpartition("\n\n")[0]
            total += len(bench.encode(_answer(_chunks(whole, loads))))
        return total

    return floor


def floor_parts(events: Events, loads: Json) -> int:
    total, body = 0, b""
    for event in events:
        part = loads(event.body)
        if part["body"] == "response":
            body += base64.b64decode(part["data"])
            if part["part"] == part["parts"] - 1:
                for chunk in _chunks(body.decode(), loads):
                    if usage := chunk.get("usage"):
                        total += usage["total_tokens"]
                body = b""
        else:
            base64.b64decode(part["data"])
    return total


def _chunks(text: str, loads: Json) -> Iterator[dict[str, Any]]:
    for line in text.split("\n"):  # a newline is found six times as fast as two
        if line.startswith("data: {"):
            yield loads(line[6:])


def _answer(chunks: Iterator[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


# ---- peers


class Peers:
    """The worker of bench/peers: it is handed the same events and times itself."""

    def __init__(self) -> None:
        python = PEERS / "bin" / "python"
        self.available = (PEERS / ".ready").exists()
        self._loaded: Events | None = None
        self._worker = (
            subprocess.Popen(
                [str(python), str(ROOT / "bench" / "peers" / "worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            if self.available
            else None
        )

    def run(self, candidate: str, events: Events) -> Seconds:
        if events is not self._loaded:
            self._ask({"load": [event.body.decode() for event in events]})
            self._loaded = events
        answer = self._ask({"run": candidate})
        if "seconds" not in answer:
            raise SystemExit(f"bench/peers: {candidate}: {answer.get('error')}")
        return Seconds(answer["seconds"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._worker is not None
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(json.dumps(request) + "\n")
        self._worker.stdin.flush()
        return json.loads(self._worker.stdout.readline())

    def close(self) -> None:
        if self._worker is not None and self._worker.stdin is not None:
            self._worker.stdin.close()
            self._worker.wait(timeout=10)
