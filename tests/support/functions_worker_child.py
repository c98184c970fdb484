"""Child process of the harness: one function app inside Microsoft's real worker library.

It plays the part of Azure's gRPC proxy worker, over pipes instead of gRPC: a JSON line a message.
In: ``FunctionRpc.InvocationRequest`` in protobuf's JSON form, with ``function`` (name) instead of ``function_id``.
Out: ``indexed`` once, then any number of ``log`` and one ``result`` for each invocation.
End of input: running invocations finish, then exit 0.

Only tests/support/functions_worker.py starts it.
"""

import asyncio
import importlib
import importlib.util
import json
import logging
import os
import sys
import threading
import types
from typing import Any

app_dir, runtime_dir, protos_dir = sys.argv[1:]

# The app's prints and reads must not meet the protocol: it keeps private copies of both pipes.
commands = os.fdopen(os.dup(0), "r", encoding="utf-8")
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)
answer_lock = threading.Lock()


def answer(kind: str, **content: Any) -> None:
    with answer_lock:
        answers.write(json.dumps({"kind": kind, **content}, default=str) + "\n")
        answers.flush()


def load_protos() -> types.SimpleNamespace:
    """Load the generated messages under a private name and without the package's ``__init__``.

    Their real name, ``tests.protos``, is inside this project's own ``tests``; the ``__init__`` asks for grpcio.
    """
    spec = importlib.util.spec_from_file_location(
        "funcrpc", f"{protos_dir}/__init__.py", submodule_search_locations=[protos_dir]
    )
    sys.modules["funcrpc"] = importlib.util.module_from_spec(spec)
    modules = [
        importlib.import_module(f"funcrpc.{name}") for name in ("FunctionRpc_pb2", "shared.NullableTypes_pb2")
    ]
    return types.SimpleNamespace(
        **{
            name: value
            for module in modules
            for name, value in vars(module).items()
            if not name.startswith("_")
        }
    )


sys.path.insert(0, runtime_dir)
sys.path.insert(0, app_dir)  # the app first, as in Azure
runtime = importlib.import_module("azure_functions_runtime")
worker_context = importlib.import_module("azure_functions_runtime.bindings.context")
json_format = importlib.import_module("google.protobuf.json_format")
protos = load_protos()


class HostRequest:
    """What the runtime's coroutines take: one field of a StreamingMessage."""

    def __init__(self, **field: Any) -> None:
        self.name = next(iter(field))
        self.request = protos.StreamingMessage(**field)
        self.properties = {"host": "127.0.0.1", "protos": protos}


class LogToParent(logging.Handler):
    """Sends every record on, with the invocation it belongs to, as the proxy worker does to the host."""

    standard = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

    def emit(self, record: logging.LogRecord) -> None:
        answer(
            "log",
            level=record.levelname,
            logger=record.name,
            message=self.format(record),  # with the traceback, if there is one
            fields={name: value for name, value in vars(record).items() if name not in self.standard},
            invocation_id=current_invocation(),
        )


def current_invocation() -> str | None:
    """The context variable; in threads the function started itself, what it put into its thread-local storage."""
    known = runtime.invocation_id_cv.get()
    if known or threading.current_thread() is threading.main_thread():
        return known
    return getattr(worker_context._invocation_id_local, "invocation_id", None)


async def index_app() -> dict[str, str]:
    """Return function ids by name; none when the app was rejected."""
    init = protos.WorkerInitRequest(function_app_directory=app_dir)
    indexed = (await runtime.worker_init_request(HostRequest(worker_init_request=init))).result
    if indexed.status != protos.StatusResult.Success:
        answer("indexed", error=indexed.exception.message, stack=indexed.exception.stack_trace, functions=[])
        return {}
    request = HostRequest(functions_metadata_request=protos.FunctionsMetadataRequest())
    functions = (await runtime.functions_metadata_request(request)).function_metadata_results
    for function in functions:
        load = protos.FunctionLoadRequest(function_id=function.function_id, metadata=function)
        await runtime.function_load_request(HostRequest(function_load_request=load))
    described = [
        {
            "name": function.name,
            "bindings": [json.loads(binding) for binding in function.raw_bindings],
            "retry": as_dict(function.retry_options) if function.HasField("retry_options") else {},
        }
        for function in functions
    ]
    answer("indexed", error="", functions=described)
    return {function.name: function.function_id for function in functions}


def as_dict(message: Any) -> dict[str, Any]:
    # With the defaults, or a strategy would be missing exactly when it is the first of its enum.
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


async def invoke(command: dict[str, Any], function_ids: dict[str, str]) -> None:
    runtime.invocation_id_cv.set(command["invocation_id"])  # of this task: what an async function logs
    command["function_id"] = function_ids[command.pop("function")]
    message = json_format.ParseDict(command, protos.InvocationRequest())
    result = (await runtime.invocation_request(HostRequest(invocation_request=message))).result
    answer(
        "result",
        invocation_id=message.invocation_id,
        ok=result.status == protos.StatusResult.Success,
        error=result.exception.message,
        stack=result.exception.stack_trace,
    )


async def main() -> None:
    root = logging.getLogger()
    # The level of Azure's worker, and its documented switch for more.
    root.setLevel(logging.DEBUG if os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING") else logging.INFO)
    root.addHandler(LogToParent())
    runtime.start_threadpool_executor()
    function_ids = await index_app()
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as running:
        while function_ids and (line := await loop.run_in_executor(None, commands.readline)):
            running.create_task(invoke(json.loads(line), function_ids))
    runtime.stop_threadpool_executor()


if __name__ == "__main__":
    asyncio.run(main())
