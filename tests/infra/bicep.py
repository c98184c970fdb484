"""Bicep files as plain values, read by the parser in build/bicep-parser; no compiler is needed."""

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"


PARSER = ROOT / "build" / "bicep-parser"


def missing() -> str | None:
    """Say in one sentence why Bicep cannot be checked here, or None if it can."""
    if (PARSER / "tree_sitter_bicep").is_dir():
        return None
    return "the Bicep parser is not in build/bicep-parser: `make bicep-parser` installs it (3 MB)"


@dataclass(frozen=True)
class Resource:
    file: str
    name: str
    kind: str
    version: str
    existing: bool
    body: Any

    @property
    def one(self) -> dict[str, Any]:
        """The body, or that of every turn of a loop."""
        return self.body.get("loop", self.body)

    def at(self, path: str) -> Any:
        """Return a property by its dotted path; None if it is not there."""
        value: Any = self.one
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value


@dataclass(frozen=True)
class Bicep:
    """All files of infra, by path relative to it."""

    files: Mapping[str, Mapping[str, Any]]

    def resources(self, kind: str | None = None) -> Iterator[Resource]:
        """Yield what is deployed; what exists already is left out."""
        for file, told in self.files.items():
            for each in told["resources"]:
                if not each["existing"] and kind in (None, each["kind"]):
                    yield Resource(file, **each)

    def calls(self, name: str) -> Iterator[tuple[str, list[Any]]]:
        for file, told in self.files.items():
            yield from ((file, given) for called, given in told["calls"] if called == name)


def sources() -> dict[str, str]:
    return {str(path.relative_to(INFRA)): path.read_text("utf-8") for path in sorted(INFRA.rglob("*.bicep"))}


def read(changed: Mapping[str, str] | None = None) -> Bicep:
    """Parse infra as it is, with some files in another wording."""
    return Bicep({path: _parsed(text) for path, text in {**sources(), **(changed or {})}.items()})


@cache
def _parsed(text: str) -> Mapping[str, Any]:
    """Parse one text; what comes out is shared and only read."""
    process = _parser()
    assert process.stdin, "it was started with pipes"
    assert process.stdout, "it was started with pipes"
    process.stdin.write(json.dumps(text) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


@cache
def _parser() -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("tree.py"))],
        env={**os.environ, "PYTHONPATH": str(PARSER)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    atexit.register(_stop, process)
    return process


def _stop(process: "subprocess.Popen[str]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()  # the end of its stdin is the end of the parser
    process.wait()
