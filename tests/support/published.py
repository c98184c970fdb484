"""What the published gateways write about a call, format by format, before it becomes bytes (``render``).

Names, order and spelling of members are theirs, numbers as text included. Nothing of the worker is used here.
"""

import json
import uuid
from datetime import datetime
from typing import Any

from tests.support.azure_bodies import (
    OBJECTS,
    Style,
    answer_body,
    chunks,
    request_body,
    response_body,
    usage_block,
)
from tests.support.calls import Call

API_OPERATIONS = {"chat": "ChatCompletion", "completions": "TextCompletion", "embeddings": ""}
OPERATION_IDS = {
    "chat": "ChatCompletions_Create",
    "completions": "Completions_Create",
    "embeddings": "embeddings_create",
}


def t1(at: datetime) -> str:
    """Write ``DateTime.UtcNow`` as Newtonsoft does: seven digits of a second, no zeros at their end."""
    digits = f"{at.microsecond:06d}{at.microsecond % 10}".rstrip("0")
    return f"{at:%Y-%m-%dT%H:%M:%S}{'.' + digits if digits else ''}Z"


def t2(at: datetime) -> str:
    """Write ``DateTime.UtcNow.ToString()`` as a gateway with US culture does."""
    hour, half = at.hour % 12 or 12, "PM" if at.hour >= 12 else "AM"
    return f"{at.month}/{at.day}/{at.year} {hour}:{at:%M:%S} {half}"


def _f1(call: Call, style: Style) -> dict[str, Any]:
    return {
        "eventTime": t1(call.at),
        "apiOperation": API_OPERATIONS[call.operation],
        "appSubscriptionKey": call.subscription_key or "",
        "request": request_body(call, style),
        "response": response_body(call, style),
    }


def _f2(call: Call, style: Style) -> dict[str, Any]:
    return {
        "EventTime": t1(call.at),
        "AppSubscriptionKey": call.subscription_key or "",
        "Request": request_body(call, style),
        "Response": response_body(call, style),
    }


def _f4(call: Call, style: Style) -> dict[str, Any]:
    prompt, completion, total = counts_as_text(call)
    return {
        "Timestamp": t2(call.at),
        "ApiOperation": OBJECTS[call.operation],
        "AppKey": call.subscription_key or "",
        **({"SubcriptionId": call.subscription_id} if style.extended else {}),
        "PromptTokens": prompt,
        "CompletionTokens": completion,
        "TotalTokens": total,
    }


def _f5(call: Call, style: Style) -> dict[str, Any]:
    prompt, completion, total = counts_as_text(call)
    return {
        "timestamp": t2(call.at),
        "appSubscriptionKey": call.subscription_key or "",
        "promptTokens": prompt,
        "completionTokens": completion,
        "totalTokens": total,
        **({"deploymentId": call.deployment} if style.extended else {}),
    }


def _f3(call: Call, style: Style) -> dict[str, Any]:
    prompt, completion, total = counts_as_text(call)
    return {
        "event-time": t2(call.at),
        "id": call.response_id,
        "operation": OBJECTS[call.operation],
        "model": call.model,
        "completion_text": call.answers[0].text,
        "completion_tokens": completion,
        "prompt_tokens": prompt,
        "total_tokens": total,
    }


def _f6(call: Call, style: Style) -> dict[str, Any]:
    prompt, completion, total = counts_as_text(call)
    return {
        "timestamp": t2(call.at),
        "appId": call.app_id or "",
        "appSubscriptionKey": call.subscription_key or "",
        "promptTokens": prompt,
        "responseTokens": completion,
        "totalTokens": total,
    }


def _f7(call: Call, style: Style) -> dict[str, Any]:
    counts = call.shown_usage
    assert counts, "can_render saw to it"
    number = str if style.extended else int
    more = {"audioTokens": "0", "cachedTokens": str(counts.cached or 0)} if style.extended else {}
    return {
        "id": call.response_id or str(uuid.uuid5(uuid.NAMESPACE_OID, call.request_id)),
        "timestamp": t2(call.at),
        "appId": call.app_id or "NA",
        "subscriptionId": call.subscription_id,
        "productName": call.product or "Portal-Admin",
        "targetService": OBJECTS[call.operation],
        "model": call.model,
        "gatewayName": "apim-sample.azure-api.net",
        "gatewayRegion": "West Europe",
        "aiGatewayId": "managed",
        "RequestIp": "203.0.113.9",
        "operationName": "an operation",
        "sessionId": "NA",
        "endUserId": "NA-HEADER",
        "backendId": f"{call.account}-backend",
        "routeLocation": call.region,
        "routeName": "first",
        "deploymentName": call.deployment or "NA",
        "promptTokens": number(counts.prompt),
        "responseTokens": number(counts.completion),
        "totalTokens": number(counts.prompt + counts.completion),
        **more,
    }


def _f8(call: Call, style: Style) -> dict[str, Any]:
    return {
        "Type": "Message",
        "EventTime": t2(call.at),
        "ServiceName": "apim-sample.azure-api.net",
        "GatewayId": "managed",
        "RequestId": call.request_id,
        "RequestIp": "203.0.113.9",
        "OperationName": "Creates a completion for the chat message",
        "SubscriptionId": call.subscription_id,
        "TotalTokens": counts_as_text(call)[2],
    }


def _parsed(call: Call, style: Style) -> tuple[dict[str, Any], dict[str, Any]]:
    return json.loads(request_body(call, style)), answer_body(call, style)


def _text(value: Any) -> str | None:
    """A policy's ``ToString()`` of a part of a body: indented JSON, or the text itself."""
    return value if value is None or isinstance(value, str) else json.dumps(value, indent=2)


def _f9(call: Call, style: Style) -> list[dict[str, Any]]:
    request, answer = _parsed(call, style)
    counts = counts_as_text(call) if call.shown_usage else None
    app = {"message-id": call.request_id, "appid": call.app_id or ""}
    said = {"operation": answer["object"], "model": call.model}
    host = f"{call.account}.openai.azure.com"
    asked = {
        "event-time": t2(call.at),
        "backend": host,
        **app,
        "operationname": OPERATION_IDS[call.operation],
        "prompt": _text(request.get("prompt")),
        "messages": _text(request.get("messages")),
    }
    answered = {
        "event-time": t2(call.at),
        "backend": host,
        "response-time": "1187.2",
        **app,
        "choices": _text(answer["choices"]),
        **said,
    }
    if counts is None:
        return [asked, answered]
    numbers = {"completion_tokens": counts[1], "prompt_tokens": counts[0], "total_tokens": counts[2]}
    counted = {"event-time": t2(call.at), **app, **said, "modeltime": "1187.2", **numbers}
    return [asked, answered, counted]


def _f10(call: Call, style: Style) -> list[dict[str, Any]]:
    request, answer = _parsed(call, style)
    head = {
        "event-time": t2(call.at),
        "backend": f"{call.account}.openai.azure.com",
        "message-id": call.request_id,
    }
    operation = {"operation": OPERATION_IDS[call.operation]}
    asked = {
        "model": None,
        "prompt": _text(request.get("prompt")),
        "messages": _text(request.get("messages")),
    }
    usage = usage_block(call.shown_usage, call.operation) if call.shown_usage else {}
    return [
        {"event-type": "Request", **head, **operation, **asked},
        {
            "event-type": "Response",
            **head,
            **({"choices": _text(answer["choices"])} if "choices" in answer else {}),
            **operation,
            "apiId": "azure-openai",
            "productId": call.product,
            "model": call.model,
            "modeltime": "61.3",
            **{name: str(count) for name, count in usage.items() if isinstance(count, int)},
        },
    ]


_PATHS = {"chat": "chat/completions", "completions": "completions", "embeddings": "embeddings"}


def _url(call: Call, host: str) -> str:
    path = f"openai/deployments/{call.deployment}/{_PATHS[call.operation]}"
    return f"https://{host}/{path}?api-version={call.api_version}"


def _f11(call: Call, style: Style) -> dict[str, Any]:
    url = _url(call, f"{call.account}.openai.azure.com")
    analysed = style.extended
    return {
        "EventTime": t1(call.at) if analysed else t2(call.at),
        "ServiceName": "apim-sample.azure-api.net",
        "RequestId": call.request_id,
        "RequestIp": "203.0.113.51",
        "OperationName": "Creates a completion for the chat message",
        "RequestBody": json.loads(request_body(call, style)),
        "ResponseBody": response_body(call, style),
        "Region": call.region or "",
        **(
            {"BackendUrl": url, "Streaming": "1" if call.stream else "0"} if analysed else {"backendUrl": url}
        ),
    }


def _f12(call: Call, style: Style) -> dict[str, Any]:
    record = {
        "EventTime": t2(call.at),
        "ServiceName": "apim-sample.azure-api.net",
        "RequestId": call.request_id,
        "RequestIp": "203.0.113.62",
        "OperationName": "an operation",
        "response": response_body(call, style),
    }
    return {"records": [record]}


def _f13(call: Call, style: Style) -> dict[str, Any]:
    usage = usage_block(call.shown_usage, call.operation) if call.shown_usage else None
    return {
        "type": "stream_completion" if call.stream else "completion",
        "content": call.answers[0].text,
        "model": call.model or "unknown",
        "usage": usage,
        "prompt": json.loads(request_body(call, style))["messages"],
        "region": call.region or "unknown",
        "latency_ms": 1630,
        "timestamp": call.at.replace(tzinfo=None).isoformat(),
    }


def _f14(call: Call, style: Style) -> dict[str, Any]:
    counts = call.shown_usage
    assert counts, "can_render saw to it"
    return {
        "Type": "openai-logger",
        "message_guid": call.request_id,
        "req_headers": {"host": "llm.sample.example", "api-key": "not-a-real-key"},
        "resp_headers": {"x-ms-region": call.region},
        "prompt": json.dumps(json.loads(request_body(call, style))["messages"]),
        "model": call.deployment,
        "streaming": "true",
        "completion": call.answers[0].text,
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.completion,
        "total_tokens": counts.prompt + counts.completion,
        "client_ip": "203.0.113.77",
        "response_time": 1.642,
    }


def _f15(call: Call, style: Style) -> list[dict[str, Any]]:
    """The records of one call, in one event or one event each."""
    head = {"time": t1(call.at), "correlationId": call.request_id}
    who = {
        "ApimSubscriptionId": call.subscription_id,
        "BackendId": call.backend,
        "productId": call.product,
        "backendUrl": _url(call, f"{call.account}.openai.azure.com"),
        "responseCode": call.status,
    }
    counts = call.shown_usage
    total = counts and {
        "promptTokens": counts.prompt,
        "completionTokens": counts.completion,
        "totalTokens": counts.prompt + counts.completion,
    }
    what = {"modelName": call.model, "deploymentName": call.deployment, **(total or {})}
    properties: list[tuple[str, dict[str, Any]]] = [("GatewayLogs", who), ("GatewayLlmLogs", what)]
    if call.operation == "chat":
        asked = json.dumps(json.loads(request_body(call, style))["messages"], ensure_ascii=False)
        said = [{"role": "assistant", "content": answer.text} for answer in call.answers]
        texts = [("requestMessages", asked), ("responseMessages", json.dumps(said, ensure_ascii=False))]
        size = max(style.slice_size, 80)
        parts = [
            (name, text[at : at + size]) for name, text in texts for at in range(0, max(1, len(text)), size)
        ]
        told = {"modelName": call.model, "deploymentName": call.deployment}
        properties += [
            ("GatewayLlmLogs", {"sequenceNumber": number, **told, name: text})
            for number, (name, text) in enumerate(parts, 1)
        ]
    records = [{**head, "category": category, "properties": each} for category, each in properties]
    metric = {"time": t1(call.at), "metricName": "Requests", "total": 17, "timeGrain": "PT1M"}
    if style.extended:
        return [{"records": [*records, metric]}]
    return [{"records": [record]} for record in records]


def _f16(call: Call, style: Style) -> dict[str, Any]:
    counts = call.shown_usage
    assert counts, "can_render saw to it"
    more = {
        "Usage.Prompt_Tokens_Details.Cached_Tokens": counts.cached,
        "Usage.Completion_Tokens_Details.Reasoning_Tokens": counts.reasoning,
        "Usage.Id": call.response_id,
    }
    return {
        "Type": "S7P-ProxyRequest",
        "MID": f"proxy01-{call.request_id}",
        "Ver": "2.2.9",
        "Status": str(call.status),
        "Method": "POST",
        "EnqueueTime": t1(call.at),
        "Url": _url(call, "llm.sample.example"),
        "Backend-Host": f"{call.account}.openai.azure.com",
        "Attempts": "2",
        "Request-x-app-id": call.app_id or "N/A",
        "Usage.Prompt_Tokens": str(counts.prompt),
        "Usage.Completion_Tokens": str(counts.completion),
        "Usage.Total_Tokens": str(counts.prompt + counts.completion),
        "Usage.Model": call.model,
        **{name: str(value) for name, value in more.items() if value is not None},
    }


def _f17(call: Call, style: Style) -> dict[str, Any]:
    answer = list(chunks(call, style))[-1] if call.stream else answer_body(call, style)
    return {
        "tenantId": call.tenant_id,
        "clientAppId": call.app_id or "",
        "audience": "api://sample",
        "requestBody": json.loads(request_body(call, style)),
        "responseBody": answer,
        "deploymentId": call.deployment,
    }


def counts_as_text(call: Call) -> tuple[str, str, str]:
    counts = call.shown_usage
    assert counts, "can_render saw to it"
    return str(counts.prompt), str(counts.completion), str(counts.prompt + counts.completion)


RENDERERS = {
    "F1": _f1, "F2": _f2, "F3": _f3, "F4": _f4, "F5": _f5, "F6": _f6, "F7": _f7, "F8": _f8, "F9": _f9,
    "F10": _f10, "F11": _f11, "F12": _f12, "F13": _f13, "F14": _f14, "F15": _f15, "F16": _f16, "F17": _f17,
}  # fmt: skip
