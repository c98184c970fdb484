"""Compile the expressions of policies with mono and run the policies over scenarios.

    gateway = Gateway.of(named=NAMED)  # infra/policies as they are
    [result] = gateway.run([scenario])
    result.events, result.status, result.violations

Expressions are C# and are compiled as C# 7 against ``mono/Stubs.cs``, the documented context. Statements are
run by ``mono/Gateway.cs``. Nothing here knows the worker.
"""

import atexit
import json
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
import xml.sax
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from tests.policies.allow_list import forbidden

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "infra" / "policies"
SOURCES = Path(__file__).parent / "mono"
NAMED = {
    "chargeback-tenant-id": "5e0b9a34-1c2d-4e5f-8a7b-6c9d0e1f2a3b",
    "chargeback-audience": "api://azure-openai-gateway",
    "chargeback-openai-audience": "https://cognitiveservices.azure.com",
    "chargeback-priority-products": "gold,research",
    "chargeback-premium-clients": "sub-legal,7d1f0c52-3b7e-4f2a-9c5d-0a6e4b8f1c09",
    "chargeback-calls-per-minute": "300",
    "chargeback-tokens-per-minute": "100000",
}
"""Named values as a deployment could have them."""

_REMEDY = "apt-get install --no-install-recommends mono-mcs mono-runtime libnewtonsoft-json5.0-cil"
_COMPILE = [
    "mcs",
    "-langversion:7",
    "-nowarn:0162,0168,0169,0219,0649,1522,1701",
    "-r:System.Core",
    "-r:System.Xml",
]
_COMPILE += ["-r:System.Xml.Linq"]
_USING = """using System; using System.Collections.Generic; using System.Linq; using System.Net; using System.Text;
using System.Text.RegularExpressions; using System.Xml.Linq; using System.Security.Cryptography;
using Newtonsoft.Json; using Newtonsoft.Json.Linq; using Apim;
"""


class PolicyError(Exception):
    """A policy that API Management would not take, or that must not be deployed."""


@dataclass(frozen=True)
class Expression:
    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Result:
    """What one scenario came to."""

    told: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.told[name]

    @property
    def bodies(self) -> list[bytes]:
        return [each["body"].encode() for each in self.told["hub"]]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(each["body"]) for each in self.told["hub"]]


@cache
def newtonsoft() -> Path | None:
    return next(iter(sorted(Path("/usr/lib/cli").glob("Newtonsoft.Json-*/Newtonsoft.Json.dll"))), None)


def missing() -> str | None:
    """Say in one sentence why policies cannot be executed here, or None if they can."""
    if shutil.which("mcs") and shutil.which("mono") and newtonsoft():
        return None
    return f"policies are compiled and executed with mono, which is not installed: {_REMEDY}"


# ---- reading policies


def read_policies(folder: Path = POLICIES) -> dict[str, str]:
    """Return the XML of every policy and fragment, by name of its file."""
    return {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.xml"))}


def tokenised(name: str, text: str, named: Mapping[str, str], first: int) -> tuple[str, list[Expression]]:
    """Parse one file; return it with a token for every expression, and the expressions."""
    for found in set(re.findall(r"\{\{([^{}]+)\}\}", text)):
        if found not in named:
            raise PolicyError(f"{name}.xml: no named value {found!r}")
        text = text.replace("{{" + found + "}}", named[found])
    handler = _Reader(f"infra/policies/{name}.xml", first)
    try:
        xml.sax.parseString(text.encode(), handler)
    except xml.sax.SAXParseException as error:
        raise PolicyError(
            f"{name}.xml:{error.getLineNumber()}: not well-formed: {error.getMessage()}"
        ) from None
    return ET.tostring(handler.root, "unicode"), handler.expressions


class _Reader(xml.sax.ContentHandler):
    """Builds the tree and keeps the line of each expression's element."""

    def __init__(self, file: str, first: int) -> None:
        super().__init__()
        self.file, self.first = file, first
        self.expressions: list[Expression] = []
        self.builder, self.root = ET.TreeBuilder(), ET.Element("none")
        self.text: list[tuple[int, list[str]]] = []

    def startElement(self, name, attrs):  # noqa: N802  SAX's name
        self._flush()
        line = self._locator.getLineNumber()
        self.builder.start(name, {key: self._kept(value, line) for key, value in attrs.items()})
        self.text.append((line, []))

    def characters(self, content):
        self.text[-1][1].append(content)

    def endElement(self, name):  # noqa: N802  SAX's name
        self._flush()
        self.text.pop()
        self.root = self.builder.end(name)

    def _flush(self) -> None:
        if self.text and self.text[-1][1]:
            line, pieces = self.text[-1]
            self.builder.data(self._kept("".join(pieces), line))
            pieces.clear()

    def _kept(self, value: str, line: int) -> str:
        stripped = value.strip()
        if not stripped.startswith(("@(", "@{")):
            return value
        end = closing(stripped, 1)
        if stripped[end + 1 :]:
            raise PolicyError(
                f"{self.file}:{line}: text after the end of an expression: {stripped[end + 1 :][:40]!r}"
            )
        self.expressions.append(Expression(self.file, line, stripped))
        return f"@@E{self.first + len(self.expressions) - 1}@@"


_SKIPPED = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\$?@"(?:[^"]|"")*"|@\$"(?:[^"]|"")*"|\$?"(?:\\.|[^"\\])*"|'(?:\\.[^']*|[^'\\])'""",
    re.DOTALL,
)


def closing(text: str, start: int) -> int:
    """Return where the bracket at ``start`` closes; comments, texts and characters are skipped."""
    depth, place = 0, start
    while place < len(text):
        if skipped := _SKIPPED.match(text, place):
            place = skipped.end()
            continue
        depth += (text[place] in "({[") - (text[place] in ")}]")
        if depth == 0:
            return place
        place += 1
    raise PolicyError(f"an expression does not end: {text[:60]!r}")


# ---- compiling and running


class Gateway:
    """Policies, compiled."""

    def __init__(self, policies: Mapping[str, str], named: Mapping[str, str]) -> None:
        if problem := missing():
            raise PolicyError(problem)
        self.expressions: list[Expression] = []
        self._trees: dict[str, str] = {}
        for name, text in policies.items():
            tree, found = tokenised(name, text, named, len(self.expressions))
            self._trees[name] = tree
            self.expressions += found
        self._folder = _folder()
        self._process: subprocess.Popen[str] | None = None
        for built in ("Stubs.dll", "Gateway.exe", "References.exe"):
            (self._folder / built).symlink_to(_tools() / built)
        (self._folder / "Exprs.cs").write_text(_source(self.expressions), "utf-8")
        _compile(self._folder, "-target:library", "-r:Stubs.dll", "-out:Exprs.dll", "Exprs.cs")

    @classmethod
    def of(cls, changed: Mapping[str, str] | None = None, named: Mapping[str, str] | None = None) -> Self:
        """Compile what infra/policies holds, with some files in another wording."""
        return cls({**read_policies(), **(changed or {})}, named or NAMED)

    def references(self) -> list[str]:
        done = _run(["mono", "References.exe", "Exprs.dll"], self._folder)
        return done.splitlines()

    def forbidden(self) -> list[str]:
        """Return what the expressions use and the documentation does not allow."""
        return forbidden(self.references(), [each.text for each in self.expressions])

    def run(self, scenarios: Iterable[Mapping[str, Any]]) -> list[Result]:
        policies = {name: tree for name, tree in self._trees.items() if tree.startswith("<policies")}
        fragments = {name: tree for name, tree in self._trees.items() if tree.startswith("<fragment")}
        told = {"policies": policies, "fragments": fragments, "scenarios": list(scenarios)}
        if self._process is None or self._process.poll() is not None:
            self._process = _started(["mono", "Gateway.exe"], self._folder)
        assert self._process.stdin, "it was started with pipes"
        assert self._process.stdout, "it was started with pipes"
        try:
            self._process.stdin.write(json.dumps(told) + "\n")
            self._process.stdin.flush()
            return [Result(each) for each in json.loads(self._process.stdout.readline())]
        except (ValueError, BrokenPipeError):
            self._process.kill()
            raise PolicyError(
                f"the harness stopped: {(self._folder / 'stderr').read_text()[-2000:]}"
            ) from None


def _source(expressions: list[Expression]) -> str:
    methods, registry = [], []
    for number, each in enumerate(expressions):
        body = each.text[1:]
        if body.startswith("("):
            body = "{ return (object)" + body + ";\n}"
        head = f"static object E{number}(IProxyRequestContext context)"
        methods.append(f'{head}\n#line {each.line} "{each.file}"\n{body}\n#line default')
        registry.append(f'all["@@E{number}@@"] = E{number};')
    return (
        f"{_USING}public static class Exprs {{\n" + "\n".join(methods) + "\n"
        "public static Dictionary<string, Func<IProxyRequestContext, object>> All() {\n"
        "var all = new Dictionary<string, Func<IProxyRequestContext, object>>();\n"
        + "\n".join(registry)
        + "\nreturn all; }\n}\n"
    )


@cache
def _tools() -> Path:
    """Compile what does not depend on any policy, once a process."""
    folder = _folder()
    _compile(folder, "-target:library", "-out:Stubs.dll", str(SOURCES / "Stubs.cs"))
    (folder / "Exprs.cs").write_text(_source([]), "utf-8")
    _compile(folder, "-target:library", "-r:Stubs.dll", "-out:Exprs.dll", "Exprs.cs")
    _compile(folder, "-r:Stubs.dll", "-r:Exprs.dll", "-out:Gateway.exe", str(SOURCES / "Gateway.cs"))
    _compile(folder, "-out:References.exe", str(SOURCES / "References.cs"))
    return folder


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="policies-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _compile(folder: Path, *arguments: str) -> None:
    _run([*_COMPILE, f"-r:{newtonsoft()}", *arguments], folder)


_RUNNING: list["subprocess.Popen[str]"] = []


def _started(command: list[str], folder: Path) -> "subprocess.Popen[str]":
    """Start the harness; it takes scenarios, a line each, until it is stopped. The oldest of many is."""
    while len(_RUNNING) >= 4:
        _stop(_RUNNING.pop(0))
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
        )
    _RUNNING.append(process)
    return process


@atexit.register
def _stop_all() -> None:
    while _RUNNING:
        _stop(_RUNNING.pop())


def _stop(process: "subprocess.Popen[str]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
    process.kill()
    process.wait()


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, encoding="utf-8")
    if done.returncode:
        raise PolicyError((done.stdout + done.stderr).strip()[-3000:])
    return done.stdout
