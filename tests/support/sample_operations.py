"""What the sample week does beside chats, completions and embeddings: one event or a few for each operation.

Bodies are written out here as the service writes them; most travel as F11 events, whose URL names operation
and deployment. ``samples/operations`` is written from this by ``scripts/make_samples.py``.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.render import t1
from tests.support.sample_calls import TENANT, made_up_key

THURSDAY = datetime(2026, 11, 5, 9, tzinfo=UTC)
HOST = "https://aoai-swc-1.openai.azure.com/openai"
VERSION = "api-version=2025-04-01-preview"
NIGHTLY_KEY = made_up_key("sub-nightly primary")


def files() -> dict[str, list[dict[str, Any]]]:
    """Return the events of each file, in order."""
    return {
        name: [event(number) for number, event in enumerate(made(), 1)]
        for name, made in {
            "responses": _responses,
            "images": _images,
            "audio": _audio,
            "realtime": _realtime,
            "batch": _batch,
            "nothing-to-bill": _nothing,
        }.items()
    }


def _f11(path: str, request: Any, response: Any, *, same: str | None = None) -> Any:
    """Make an event once its number is known; ``same`` repeats an id on purpose."""

    def event(number: int) -> dict[str, Any]:
        text = response if isinstance(response, str) else json.dumps(response)
        return {
            "EventTime": t1(THURSDAY + timedelta(minutes=number)),
            "ServiceName": "apim-sample.azure-api.net",
            "RequestId": same or f"{abs(hash_of(path, number)):08x}-0b5e-4c1d-9a77-{number:012d}",
            "RequestIp": "203.0.113.51",
            "OperationName": "an operation",
            "RequestBody": request,
            "ResponseBody": text,
            "Region": "Sweden Central",
            "backendUrl": f"{HOST}{path}{'&' if '?' in path else '?'}{VERSION}",
        }

    return event


def hash_of(path: str, number: int) -> int:
    """Spread ids without randomness."""
    return (sum(path.encode()) * 2_654_435_761 + number) % 2**32


def _answer(response_id: str, status: str, *, background: bool = False, **more: Any) -> dict[str, Any]:
    body = {"id": response_id, "object": "response", "status": status, "model": "thinker"}
    return {**body, "background": background, "error": None, "output": [], "usage": None, **more}


def _message(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "role": "assistant", "status": "completed", "content": [part]}


def _counted(prompt: int, answer: int, *, cached: int = 0, thought: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": answer,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": prompt + answer,
    }


def _stream(*events: dict[str, Any]) -> str:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def _responses() -> Iterator[Any]:
    asked = {"model": "thinker", "input": "How many shelves fit on a pallet?", "stream": True}
    done = _answer("resp_S1", "completed", output=[_message("Sixteen.")])
    done["usage"] = _counted(1_300, 210, cached=1_024, thought=192)
    delta = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Sixteen."}
    created = {"type": "response.created", "response": _answer("resp_S1", "in_progress")}
    yield _f11("/responses", asked, _stream(created, delta, {"type": "response.completed", "response": done}))
    short = _answer("resp_S2", "incomplete", usage=_counted(90, 400, thought=384))
    yield _f11("/responses", {**asked, "stream": False, "max_output_tokens": 400}, short)
    # The client hung up: what had come is counted, and is a lower bound.
    plain = {**asked, "model": "chat-eu", "input": "Name the harbour."}
    begun = {
        "type": "response.created",
        "response": {**_answer("resp_S3", "in_progress"), "model": "chat-eu"},
    }
    pieces = [{**delta, "delta": text} for text in ("The harbour", " is", " Ystad")]
    yield _f11("/responses", plain, _stream(begun, *pieces))
    error = {"code": "server_error", "message": "try again"}
    broken = {**_answer("resp_S4", "failed", error=error), "model": "chat-eu"}
    yield _f11("/responses", plain, _stream({"type": "response.failed", "response": broken}))
    # Works on in the background: asked for three times, billed once.
    later = {"model": "thinker", "input": "Read all contracts.", "background": True}
    yield _f11("/responses", later, _answer("resp_S5", "queued", background=True))
    yield _f11("/responses/resp_S5", None, _answer("resp_S5", "in_progress", background=True))
    ready = _answer("resp_S5", "completed", background=True, usage=_counted(40_000, 2_000, thought=1_536))
    yield _f11("/responses/resp_S5", None, ready)
    yield _f11("/responses/resp_S5", None, ready)
    # Answered at once, billed then; fetching it again costs nothing.
    yield _f11("/responses/resp_S2", None, short)


def _images() -> Iterator[Any]:
    usage = {
        "input_tokens": 62,
        "input_tokens_details": {"text_tokens": 12, "image_tokens": 50},
        "output_tokens": 1_056,
        "total_tokens": 1_118,
    }
    yield _f11(
        "/deployments/draw/images/edits", None, {"created": 1, "data": [{"b64_json": "AA=="}], "usage": usage}
    )
    pictures = {
        "created": 1,
        "data": [{"url": "https://pictures.example/1"}, {"url": "https://pictures.example/2"}],
    }
    yield _f11("/deployments/pictures/images/generations", {"prompt": "A red kite", "n": 2}, pictures)


def _audio() -> Iterator[Any]:
    usage = {
        "type": "tokens",
        "input_tokens": 420,
        "input_token_details": {"text_tokens": 20, "audio_tokens": 400},
        "output_tokens": 95,
        "total_tokens": 515,
    }
    yield _f11("/deployments/listen/audio/transcriptions", None, {"text": "Good morning.", "usage": usage})
    verbose = {"task": "transcribe", "language": "english", "duration": 61.25, "text": "Good morning."}
    yield _f11("/deployments/hear/audio/transcriptions", None, verbose)
    # Only the text came back: Azure bills the seconds, and nobody here knows them.
    yield _f11("/deployments/hear/audio/transcriptions", None, {"text": "Good evening."})
    spoken = {"model": "tts", "voice": "alloy", "input": "Your parcel has arrived. 📦"}
    yield _f11("/deployments/speak/audio/speech", spoken, "\ufffd\ufffd\u0000binary")


def _realtime() -> Iterator[Any]:
    usage = {
        "total_tokens": 1_100,
        "input_tokens": 800,
        "output_tokens": 300,
        "input_token_details": {
            "text_tokens": 200,
            "audio_tokens": 600,
            "cached_tokens": 384,
            "cached_tokens_details": {"text_tokens": 128, "audio_tokens": 256},
        },
        "output_token_details": {"text_tokens": 60, "audio_tokens": 240},
    }

    def event(number: int) -> dict[str, Any]:
        return {
            "v": 1,
            "kind": "usage",
            "request_id": f"5a00000a-0000-4000-8000-{number:012d}",
            "time": t1(THURSDAY + timedelta(hours=3, minutes=number)),
            "subscription_id": "sub-claims",
            "tenant_id": TENANT,
            "operation": "realtime",
            "account": "aoai-swc-1",
            "deployment": "talk",
            "status": 101,
            "response_id": "resp_R1",
            "model": "gpt-realtime-2025-08-28",
            "usage": usage,
        }

    yield event
    one = {"object": "realtime.response", "id": "resp_R2", "status": "completed", "usage": usage}
    session = [
        {"type": "session.created", "session": {"model": "gpt-realtime-2025-08-28"}},
        {"type": "response.done", "response": one},
        {"type": "response.done", "response": {**one, "id": "resp_R3"}},
    ]
    yield _f11("/realtime?deployment=talk", None, session)


def _batch() -> Iterator[Any]:
    lines = [
        {
            "id": f"batch_req_S{number}",
            "custom_id": f"contract-{number}",
            "response": {
                "status_code": 200,
                "request_id": f"0000{number}",
                "body": {
                    "id": f"chatcmpl-B{number}",
                    "object": "chat.completion",
                    "created": int(THURSDAY.timestamp()) - 3600,
                    "model": "gpt-4o-mini-2024-07-18",
                    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}],
                    "usage": {"prompt_tokens": 9_000, "completion_tokens": 100 * number, "total_tokens": 9_000 + 100 * number},
                },
            },
            "error": None,
        }
        for number in (1, 2)
    ]  # fmt: skip
    expired = {"id": "batch_req_S3", "custom_id": "contract-3", "response": None}
    lines.append({**expired, "error": {"code": "batch_cancelled", "message": "Cancelled."}})
    for _ in range(2):  # the output file is fetched twice
        yield lambda number: {
            "eventTime": t1(THURSDAY + timedelta(minutes=number)),
            "apiOperation": "",
            "appSubscriptionKey": NIGHTLY_KEY,
            "request": "",
            "response": "".join(json.dumps(line) + "\n" for line in lines),
        }


def _nothing() -> Iterator[Any]:
    model = {"id": "gpt-4o", "object": "model", "created": 1}
    yield _f11("/models", None, {"object": "list", "data": [model]})
    yield _f11("/files", None, {"id": "file-1", "object": "file", "purpose": "batch"})
    yield _f11("/batches", {"input_file_id": "file-1"}, {"id": "batch_1", "object": "batch"})
    yield _f11("/responses/resp_S2", None, {"id": "resp_S2", "object": "response.deleted", "deleted": True})
    chat = "/deployments/chat-eu/chat/completions"
    asked = {"messages": [{"role": "user", "content": "Hello"}]}
    yield _f11(chat, asked, {"error": {"code": "429", "message": "Try again in 7 seconds."}})
    yield _f11(chat, asked, {"error": {"code": "401", "message": "Access denied."}})
    yield _f11(chat, asked, {"error": {"code": "InternalServerError", "message": "Sorry."}})
    # Refused, and charged all the same: Azure counts the tokens and does not tell how many.
    filtered = {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}
    yield _f11(chat, asked, {"error": filtered})
    yield _f11(chat, asked, {"error": {"code": "Timeout", "message": "The operation was timeout."}})
