"""Bicep files as plain values, read by the parser in build/infra-tools; no compiler is needed."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"


def tools() -> Path:
    return ROOT / os.environ.get("CHARGEBACK_INFRA_TOOLS", "build/infra-tools")


def missing() -> str | None:
    """Say in one sentence why Bicep cannot be checked here, or None if it can."""
    if (tools() / "bin" / "python").exists():
        return None
    return "the Bicep parser is not installed: `make infra` installs it and runs these checks"


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
    return _read(json.dumps({**sources(), **(changed or {})}))


@cache
def _read(asked: str) -> Bicep:
    command = [str(tools() / "bin" / "python"), str(Path(__file__).with_name("tree.py"))]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    return Bicep(json.loads(done.stdout))
