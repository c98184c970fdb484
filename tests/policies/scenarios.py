"""Calls as the gateway sees them: what the client sends and what the service answers, for the harness."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.policies.gateway import NAMED
from tests.support.azure_bodies import PLAIN, Style, request_body, response_body
from tests.support.calls import Answer, Call, Counts, Message
from tests.support.render import OPERATION_IDS

KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
"""The subscription key of every scenario: 32 hex digits that must come out nowhere."""
GATEWAY = "https://apim-contoso.azure-api.net"
REGIONS = {"westeurope": "West Europe", "swedencentral": "Sweden Central"}
"""As the service writes them into x-ms-region."""
PATHS = {"chat": "chat/completions", "completions": "completions", "embeddings": "embeddings"}
BACKENDS = {
    "aoai-standard": ["https://aoai-weu-1.openai.azure.com", "https://aoai-swc-1.openai.azure.com"],
    "aoai-premium": "https://aoai-ptu-1.openai.azure.com",
}
NOON = datetime(2026, 11, 18, 12, 0, 0, 123400, tzinfo=UTC)


def a_call(**told: Any) -> Call:
    """Return a plain chat of the web shop; ``told`` are members of Call."""
    counts = Counts(prompt=1100, completion=57, cached=0, reasoning=0)
    return replace(
        Call(
            request_id="4d1f3a52-0000-4000-8000-0000000000a1",
            at=NOON,
            subscription_id="sub-shop",
            subscription_name="Web shop",
            product="Chat",
            account="aoai-weu-1",
            deployment="chat",
            region="westeurope",
            api_version="2024-10-21",
            backend="https://aoai-weu-1.openai.azure.com",
            model="gpt-4o-2024-11-20",
            messages=(Message(text="Where is my parcel?"),),
            answers=(Answer(text="It left the hub this morning."),),
            response_id="chatcmpl-EX1",
            usage=counts,
        ),
        **told,
    )


def scenario(call: Call, policy: str = "api", style: Style = PLAIN, **told: Any) -> dict[str, Any]:
    """Return what the harness runs; ``told`` replaces or adds members of it."""
    asked = {
        "url": f"{GATEWAY}/openai/deployments/{call.deployment}/{PATHS[call.operation]}?api-version={call.api_version}",
        "headers": {"Content-Type": "application/json", "api-key": KEY, "Host": "apim-contoso.azure-api.net"},
        "matched": {"deployment-id": call.deployment},
        "body": request_body(call, style),
    }
    if call.app_id:
        asked["headers"]["Authorization"] = f"Bearer {token(appid=call.app_id, tid=call.tenant_id)}"
    owner = {"id": call.subscription_id, "name": call.subscription_name, "key": KEY}
    return {
        "policy": policy,
        "request": asked,
        "responses": [answer(call, style)],
        "backends": BACKENDS,
        "context": {
            "request_id": call.request_id,
            "time": call.at.strftime("%Y-%m-%dT%H:%M:%S.%f0Z"),
            "subscription": owner if call.subscription_id else None,
            "product": {"id": (call.product or "").lower(), "name": call.product},
            "operation": OPERATION_IDS[call.operation],
        },
        **told,
    }


def answer(call: Call, style: Style = PLAIN, **headers: str) -> dict[str, Any]:
    streams = call.stream and call.status == 200
    kind = "text/event-stream; charset=utf-8" if streams else "application/json"
    return {
        "status": call.status,
        "headers": {"Content-Type": kind, "x-ms-region": REGIONS[call.region], **headers},
        "body": response_body(call, style),
    }


def token(**claims: Any) -> str:
    """Return a token with these claims; nobody signed it, and the harness does not look."""
    told = {"aud": NAMED["chargeback-audience"], "tid": NAMED["chargeback-tenant-id"], **claims}
    parts = ({"alg": "RS256", "typ": "JWT"}, told, {})
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )
