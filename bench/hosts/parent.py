"""The other end of ``child``: processes started, asked and ended by their own handle."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

_CHILD = Path(__file__).with_name("child.py")


class Child:
    """One process; ``ask`` sends a command and returns the answer."""

    def __init__(self, kind: str, *arguments: object, env: Mapping[str, str] = {}) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_CHILD), kind, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **env},
            encoding="utf-8",
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a process of the bench ended with {self._process.wait()}")
        return json.loads(line)


def until(true: Callable[[], bool], seconds: float = 120, every: float = 0.05) -> float:
    """Wait until something holds; return how long that took."""
    start = time.perf_counter()
    while not true():
        if time.perf_counter() - start > seconds:
            raise SystemExit(f"the bench waited {seconds} s in vain")
        time.sleep(every)
    return time.perf_counter() - start
