"""Synthetic traffic for the speed bench: seeded, never the same twice in one run, written as Azure writes it.

reported       F1, one event a call: both bodies as text, the answer with Azure's filter annotations and usage,
               3.9 KB; one event in a hundred repeats the call of the event before it
streams        F1, the answer a stream of 400 chunks with filter annotations, 205 KB; with or without usage
conversations  F1 without usage, answers whole or in 100 chunks: every turn resends the chat so far; a system
               prompt of 6,000 characters, the same for all chats, questions of 400, answers of 1,000
cut            the streams without usage, cut where API Management cuts
parts          v1, a call's bodies in base64 slices: 3 for a streamed answer, 1 for its request
flat           F5, three counts and the deployment

Texts are made of the 300 words below, four in five of them, and of made-up names and numbers, so that neither
a tokenizer's nor our own cache knows them. Keys, deployments and times are as many as on a busy hub.
"""

import base64
import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from chargeback.event import Event, Stream
from chargeback.rates.load import parse
from chargeback.rates.table import RateTable

STREAM = Stream("contoso.servicebus.windows.net", "usage", 1, "0")
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
CUT_BYTES = 200 * 1024
"""Where API Management cuts what it writes to Event Hubs (log-to-eventhub, "Usage notes")."""
CHUNKS = 400
TURNS = 20
KEYS = tuple(f"{number:032x}" for number in range(7919, 7919 * 41, 7919))
SYSTEM = "You answer questions of our staff about orders, invoices and returns. "

_PROSE = """
the of and to in a is that for it as was with be by on not he his but at are this have from or had an
they which one you were all her she there would their we him been has when who will no more if out so
said what up its about than into them can only other time new some could these two may first then do any
like my now over such our man me even most made after also did many off before must well back through
years where much your way down should because long each just state those people too mr how little world
still see men work here life both under between never day same another know while last us might great old
year come since go against came right used take three himself few house use during without again place
around however home small found mrs part school thought went say general once upon war every left got
number course almost until always away public something fact less water though enough put think took hand
invoice order return supplier payment delivery contract customer warehouse shipment refund address
account balance approve request policy report budget centre price discount receipt quantity article
catalogue department manager purchase transfer insurance holiday travel expense laptop printer network
password printer meeting calendar project deadline review release version feature ticket incident outage
"""
WORDS = _PROSE.split()

SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}

RATES = """
schema_version: "1"
table_id: bench
currency: USD
price_basis: list
source: {kind: made-up, fetched_at: "2026-11-01T00:00:00Z"}
models:
  gpt-4o@2024-11-20: {kind: chat}
rates:
  - model: gpt-4o@2024-11-20
    deployment_type: GlobalStandard
    region: "*"
    service_tier: default
    context_tier: "*"
    effective_from: "2026-01-01"
    effective_to: null
    meters:
      input_text: {price: "2.50", per: 1M tokens}
      input_cached_text: {price: "1.25", per: 1M tokens}
      output_text: {price: "10.00", per: 1M tokens}
deployments:
  - {account: aoai-weu-1, deployment: chat, model: gpt-4o@2024-11-20, deployment_type: GlobalStandard, region: westeurope, from: "2026-01-01", to: null}
defaults:
  - {deployment_type: GlobalStandard, region: westeurope, from: "2026-01-01", to: null}
subscriptions: []
cost_centres:
  - {id: UNALLOCATED, name: Not allocated}
assignments: []
policy:
  unallocated: UNALLOCATED
"""


def table() -> RateTable:
    return parse(RATES, source="bench")


class Traffic:
    """One seed's events. Sequence numbers go on, so no two calls of a run share an id."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._system = {"role": "system", "content": SYSTEM + self._text(6000)}
        self._calls = itertools.count(1)
        self._numbers = itertools.count(1)

    # ---- events

    def reported(self, count: int) -> list[Event]:
        bodies = [self._reported() for _ in range(count)]
        for place in range(99, count, 100):
            bodies[place] = bodies[place - 1]
        return [self._event(body) for body in bodies]

    def streams(self, count: int, *, usage: bool) -> list[Event]:
        return [self._event(self._stream(usage=usage)) for _ in range(count)]

    def cut(self, count: int) -> list[Event]:
        return [self._event(self._stream(usage=False, chunks=2 * CHUNKS)[:CUT_BYTES]) for _ in range(count)]

    def conversations(self, chats: int, *, streamed: bool) -> list[Event]:
        """Chats in turns, as many at a time: first all first turns, then all second ones."""
        messages = [[self._system] for _ in range(chats)]
        events: list[Event] = []
        for _turn in range(TURNS):
            for chat in messages:
                chat.append({"role": "user", "content": self._text(400)})
                answer = self._text(1000)
                body = self._sse(answer, 100) if streamed else self._answer(answer)
                events.append(self._event(self._envelope(self._request(chat), body)))
                chat.append({"role": "assistant", "content": answer})
        return events

    def parts(self, calls: int) -> list[Event]:
        return [self._event(body) for _ in range(calls) for body in self._parts()]

    def flat(self, count: int) -> list[Event]:
        return [self._event(self._flat()) for _ in range(count)]

    # ---- bodies of events

    def _event(self, body: bytes) -> Event:
        number = next(self._numbers)
        at = NOON + timedelta(milliseconds=20 * number)
        return Event(stream=STREAM, sequence_number=number, position=number, body=body, enqueued_at=at)

    def _envelope(self, request: str, response: str) -> bytes:
        at = NOON + timedelta(seconds=next(self._calls) // 40)
        event = {
            "EventTime": at.strftime("%m/%d/%Y %I:%M:%S %p"),
            "AppSubscriptionKey": self._random.choice(KEYS),
            "apiOperation": "ChatCompletions_Create",
            "Request": request,
            "Response": response,
        }
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()

    def _reported(self) -> bytes:
        messages = [
            {"role": "system", "content": SYSTEM + self._text(800)},
            {"role": "user", "content": self._text(700)},
        ]
        return self._envelope(self._request(messages), self._answer(self._text(900), usage=self._usage()))

    def _answer(self, text: str, **more: Any) -> str:
        answer = {
            "choices": [
                {
                    "content_filter_results": SAFE,
                    "finish_reason": "stop",
                    "index": 0,
                    "logprobs": None,
                    "message": {"content": text, "refusal": None, "role": "assistant"},
                }
            ],
            **self._head("chat.completion"),
            "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": SAFE}],
            **more,
        }
        return json.dumps(answer, separators=(",", ":"))

    def _stream(self, *, usage: bool, chunks: int = CHUNKS) -> bytes:
        messages = [
            {"role": "system", "content": SYSTEM + self._text(800)},
            {"role": "user", "content": self._text(700)},
        ]
        return self._envelope(self._request(messages), self._sse(self._text(1800), chunks, usage=usage))

    def _flat(self) -> bytes:
        usage = self._usage()
        event = {
            "timestamp": (NOON + timedelta(seconds=next(self._calls) // 40)).strftime("%m/%d/%Y %H:%M:%S"),
            "appSubscriptionKey": self._random.choice(KEYS),
            "deploymentId": "chat",
            "promptTokens": str(usage["prompt_tokens"]),
            "completionTokens": str(usage["completion_tokens"]),
            "totalTokens": str(usage["total_tokens"]),
        }
        return json.dumps(event).encode()

    def _parts(self) -> Iterator[bytes]:
        event = json.loads(self._stream(usage=True))
        request_id = self._id(32)
        for body in ("Request", "Response"):
            data = event[body].encode()
            slices = [data[start : start + 100_000] for start in range(0, len(data), 100_000)]
            for number, piece in enumerate(slices):
                part = {
                    "v": 1,
                    "kind": "part",
                    "time": "2026-11-18T12:00:00.1234567Z",
                    "request_id": request_id,
                    "subscription_id": "sub-shop",
                    "app_id": "app-1",
                    "deployment": "chat",
                    "account": "aoai-weu-1",
                    "operation": "ChatCompletions_Create",
                    "status": 200,
                    "body": body.lower(),
                    "bodies": ["request", "response"],
                    "part": number,
                    "parts": len(slices),
                    "data": base64.b64encode(piece).decode(),
                }
                yield json.dumps(part).encode()

    # ---- bodies of calls

    def _request(self, messages: list[dict[str, Any]]) -> str:
        return json.dumps({"messages": messages, "temperature": 0.7, "stream": True}, ensure_ascii=False)

    def _sse(self, answer: str, chunks: int, *, usage: bool = False) -> str:
        head = self._head("chat.completion.chunk")
        none = {"usage": None} if usage else {}
        filtered = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": SAFE}]}
        first = {**head, "choices": [], "id": "", "model": "", "object": "", "created": 0, **filtered}
        size = -(-len(answer) // (chunks - 3))
        pieces = [answer[start : start + size] for start in range(0, len(answer), size)]
        deltas = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces), {}]
        body = [
            {"choices": [_delta(delta, "stop" if not delta else None)], **head, **none} for delta in deltas
        ]
        last = [{"choices": [], **head, "usage": self._usage()}] if usage else []
        lines = [json.dumps(chunk, separators=(",", ":")) for chunk in [first, *body, *last]]
        return "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "created": 1_763_000_000 + self._random.randrange(10**6),
            "id": f"chatcmpl-{self._id(29)}",
            "model": "gpt-4o-2024-11-20",
            "object": kind,
            "system_fingerprint": "fp_0a1b2c3d4e",
        }

    def _usage(self) -> dict[str, Any]:
        prompt, completion = self._random.randrange(100, 4000), self._random.randrange(5, 800)
        return {
            "completion_tokens": completion,
            "completion_tokens_details": {
                "accepted_prediction_tokens": 0,
                "audio_tokens": 0,
                "reasoning_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
            "prompt_tokens": prompt,
            "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": prompt // 256 * 128},
            "total_tokens": prompt + completion,
        }

    def _text(self, length: int) -> str:
        words: list[str] = []
        size = 0
        while size < length:
            word = (
                self._random.choice(WORDS)
                if self._random.random() < 0.8
                else f"{self._random.choice(WORDS)}-{self._random.randrange(10**5)}"
            )
            words.append(word)
            size += len(word) + 1
        return " ".join(words)[:length]

    def _id(self, digits: int) -> str:
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"


def _delta(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {
        "content_filter_results": SAFE,
        "delta": delta,
        "finish_reason": finish_reason,
        "index": 0,
        "logprobs": None,
    }
