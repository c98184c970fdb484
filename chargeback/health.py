"""A health endpoint of a few lines: 200 while the process does its work, 503 when it does not.

It answers any path with the same JSON, for probes of Kubernetes and Container Apps. Nothing in it is secret.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

_PATIENCE_S = 5
_MOST_HEADERS = 100


@asynccontextmanager
async def serving(where: str | None, report: Callable[[], Mapping[str, Any]]) -> AsyncGenerator[int | None]:
    """Serve ``report`` at HOST:PORT while the block runs, and yield the port; None: nowhere.

    ``report`` says under ``healthy`` which of the two it is.
    """
    if where is None:
        yield None
        return
    host, _, port = where.rpartition(":")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, asyncio.LimitOverrunError, ValueError):
            async with asyncio.timeout(_PATIENCE_S):
                for _ in range(_MOST_HEADERS):
                    if not (await reader.readline()).strip():
                        break
                writer.write(_response(report()))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, host.strip("[]"), int(port))
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _response(report: Mapping[str, Any]) -> bytes:
    body = json.dumps(dict(report), default=str).encode()
    status = "200 OK" if report.get("healthy") else "503 Service Unavailable"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
