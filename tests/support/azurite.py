"""Azurite, the storage emulator, for the time of a test session."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPT = Path("build/azurite/node_modules/.bin/azurite-blob")
# The documented key of the emulator, the same on every machine: no secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
START_S = 30
"""Measured: 1.0 to 2.1 s on an idle machine."""


def connection_string(port: int) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};"
        f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    )


def script_or_skip() -> Path:
    """Return the entry script; skip the test without one, or fail where Azurite is part of the promise."""
    script = Path(os.environ.get("CHARGEBACK_AZURITE") or SCRIPT)
    lacking = [] if script.exists() else [f"{script} is not there"]
    lacking += [] if shutil.which("node") else ["there is no node"]
    if lacking:
        reason = f"needs Azurite: {' and '.join(lacking)} (make test installs it when npm is present)"
        required = os.environ.get("CHARGEBACK_REQUIRE_AZURITE") == "1" or os.environ.get("CI")
        if required:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return script


@contextmanager
def running(folder: Path | None = None, port: int | None = None) -> Generator[str]:
    """Yield the connection string. ``folder``: keep the data there, over several runs; else in memory."""
    script = script_or_skip()
    port = port or _free_port()
    with tempfile.TemporaryDirectory(prefix="azurite-") as scratch:
        place = ["--location", str(folder)] if folder else ["--inMemoryPersistence"]
        # --skipApiVersionCheck: the SDK's default API version is newer than the emulator's newest.
        # --disableTelemetry: it is on by default.
        options = ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        where = ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
        log = Path(scratch) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["node", script.resolve(), *where, *place, *options],
                cwd=scratch,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is for us: it ends after those who use it
            )
        try:
            _wait_for(port, process, log)
            yield connection_string(port)
        finally:
            # SIGTERM, never SIGKILL: that loses acknowledged appends of an emulator on disk (measured).
            process.terminate()
            process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"Azurite did not start:\n{log.read_text(errors='replace')[-2000:]}", pytrace=False)
