"""The queries of infra/queries: put together, checked by the Kusto language service, printed.

    python scripts/kql.py                            check every query in both scopes and print its columns
    python scripts/kql.py print cost-by-client       one query whole, ready to paste into the workspace
    python scripts/kql.py print gaps --scope component
    python scripts/kql.py install                    fetch the checker and the engine into build/

A query calls the functions of ``functions/``, and those the tables of ``tables/<scope>.kql``: ``component`` is
the Application Insights resource, ``workspace`` the Log Analytics workspace behind it. ``bundle`` puts in front
of a query what it needs, so that it runs where nothing is saved. Needs npm for the checker.
"""

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from chargeback.charge import Charge
from chargeback.custom_events import alias_event, custom_event
from chargeback.facts import Facts
from chargeback.journal.rows import BudgetReached, Identity, Rerated
from chargeback.status import Status

QUERIES = ROOT / "infra" / "queries"
TOOLS = ROOT / "tests" / "kql"
SCOPES = ("component", "workspace")

LANGUAGE_SERVICE = "@kusto/language-service-next@12.4.1"
KUSTO = ROOT / "build" / "kusto"
ENGINE = ROOT / "build" / "kql"
ENGINE_LOCK = TOOLS / "requirements.txt"

TABLES = {
    "component": {
        "customEvents": "timestamp: datetime, name: string, itemType: string, customDimensions: dynamic, "
        "customMeasurements: dynamic, operation_Id: string, cloud_RoleName: string, itemCount: int, itemId: string",
        "requests": "timestamp: datetime, id: string, name: string, url: string, success: string, resultCode: string, "
        "duration: real, customDimensions: dynamic, operation_Id: string, itemCount: int",
        "traces": "timestamp: datetime, message: string, severityLevel: int, customDimensions: dynamic, "
        "cloud_RoleName: string, itemCount: int",
    },
    "workspace": {
        "AppEvents": "TimeGenerated: datetime, Name: string, Properties: dynamic, Measurements: dynamic, "
        "OperationId: string, AppRoleName: string, ItemCount: int",
        "AppTraces": "TimeGenerated: datetime, Message: string, SeverityLevel: int, Properties: dynamic, "
        "AppRoleName: string, ItemCount: int",
        "ApiManagementGatewayLogs": "TimeGenerated: datetime, CorrelationId: string, Region: string, ApiId: string, "
        "OperationId: string, ProductId: string, ApimSubscriptionId: string, Method: string, Url: string, "
        "BackendUrl: string, ResponseCode: int, TotalTime: long",
        "ApiManagementGatewayLlmLog": "TimeGenerated: datetime, CorrelationId: string, RequestId: string, "
        "SequenceNumber: int, OperationName: string, Region: string, DeploymentName: string, ModelName: string, "
        "ApiVersion: string, IsStreamCompletion: bool, PromptTokens: int, CompletionTokens: int, TotalTokens: int",
    },
}
"""The columns we may use of tables that are not ours."""

_FUNCTION = re.compile(r"^let (\w+) = \(([^)]*)\) \{(.*?)^\};\n", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^\s*//.*\n", re.MULTILINE)


# ---- what there is


@dataclass(frozen=True)
class Function:
    name: str
    parameters: str
    body: str

    @property
    def as_let(self) -> str:
        return f"let {self.name} = ({self.parameters}) {{{self.body}}};\n"

    @property
    def as_stored(self) -> str:
        """As engines keep it: a definition to call by name."""
        return f"function {self.name}({self.parameters}) {{{_COMMENT.sub('', self.body)}}}"


@dataclass(frozen=True)
class Query:
    name: str
    title: str
    about: str
    """What its comment says after the title, in one line."""
    scopes: tuple[str, ...]
    text: str
    """Without the comment."""


@cache
def functions(scope: str) -> dict[str, Function]:
    """Return the tables of a scope and the functions on them, each after what it calls."""
    files = [
        QUERIES / "tables" / f"{scope}.kql",
        *sorted((QUERIES / "functions").glob("*.kql"), reverse=True),
    ]
    found = [
        Function(*match.groups()) for file in files for match in _FUNCTION.finditer(file.read_text("utf-8"))
    ]
    return {function.name: function for function in found}


@cache
def queries() -> dict[str, Query]:
    return {file.stem: _read(file) for file in sorted(QUERIES.glob("*.kql"))}


def _read(file: Path) -> Query:
    lines = file.read_text("utf-8").splitlines(keepends=True)
    end = next(number for number, line in enumerate(lines) if not line.startswith("//"))
    title, *about = [line.removeprefix("//").strip() for line in lines[:end]]
    told = [line.removeprefix("scope:").strip() for line in about if line.startswith("scope:")]
    about = [line for line in about if not line.startswith("scope:")]
    return Query(file.stem, title, " ".join(about), tuple(told) or SCOPES, "".join(lines[end:]))


def bundle(query: Query, scope: str, values: Mapping[str, str] = {}) -> str:
    """Return a query with the functions it needs before it; ``values`` as for ``asked``."""
    text = asked(query, values)
    return needed(text, scope) + text


def asked(query: Query, values: Mapping[str, str] = {}) -> str:
    """Return a query's text; ``values`` replaces the right side of its ``let`` lines."""
    text = query.text
    for name, value in values.items():
        text, count = re.subn(
            rf"^let {name} = .*;$",
            lambda _, name=name, value=value: f"let {name} = {value};",
            text,
            flags=re.MULTILINE,
        )
        if not count:
            raise ValueError(f"{query.name}.kql has no line `let {name} = ...;`")
    return text


@cache
def needed(text: str, scope: str) -> str:
    """Return, in order, the functions that ``text`` calls, directly or not."""
    every = functions(scope)
    wanted: set[str] = set()
    for name, function in reversed(every.items()):
        callers = [text, *(every[each].body for each in wanted)]
        if any(re.search(rf"\b{name}\(", caller) for caller in callers):
            wanted.add(function.name)
    return "".join(function.as_let for name, function in every.items() if name in wanted)


# ---- what the worker emits


@cache
def properties() -> dict[str, list[str]]:
    """Return the property names of every event the worker sends, as its builders make them."""
    charge = Charge(
        **dict.fromkeys(Charge.__struct_fields__) | {"lines": (), "usage_notes": (), "rating": "priced"}
    )  # type: ignore[arg-type]
    at = datetime.now(UTC)
    facts = Facts(occurred_at=at)
    charge = msgspec.structs.replace(charge, charge_id="", occurred_at=at, operation="chat")
    rerated = Rerated(
        run="",
        row_id="",
        charge=charge,
        previous_cost=Decimal(0),
        previous_rating="unpriced",
        previous_cost_centre=None,
        previous_version=None,
    )
    reached = BudgetReached(
        row_id="",
        cost_centre="",
        period="",
        percent=80,
        spent=Decimal(0),
        amount=Decimal(1),
        currency="",
        made_at=at,
    )
    identity = Identity(charge_id="", row_id="", source_format="", rank="", facts=facts)
    sent = [event for row in (charge, identity, rerated, reached) if (event := custom_event(row)) is not None]
    sent += [alias for event in sent if (alias := alias_event(event)) is not None]
    return {event.name: sorted({*event.properties, "TimeClamped"}) for event in sent}


@cache
def log_fields() -> dict[str, set[str]]:
    """Return the fields each log event is written with, read from the code."""
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / "chargeback").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "observe.log" and node.args:
                told = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)]
                for name in (each for each in told if isinstance(each, str)):
                    found.setdefault(name, set()).update(word.arg or "..." for word in node.keywords)
    return found | {"consume.status": set(Status.__struct_fields__)}


# ---- the checker


def check(asked: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Ask the Kusto language service about texts, each with a name and its scope: columns and faults of each."""
    ours = sorted({name for names in properties().values() for name in names})
    question = {
        "service": str(KUSTO / "node_modules" / "@kusto" / "language-service-next"),
        "tables": TABLES,
        "bags": {
            **dict.fromkeys(("Properties", "Rated", "Money"), ours),
            "Fields": sorted(set().union(*log_fields().values())),
        },
        "queries": [{"name": name, "scope": scope, "text": text} for name, scope, text in asked],
    }
    node = shutil.which("node")
    if node is None:
        raise SystemExit("make kql needs Node.js: install npm")
    done = subprocess.run(  # noqa: S603 - our own script
        [node, str(TOOLS / "language_service.js")],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the Kusto language service failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


def texts() -> Iterator[tuple[str, str, str]]:
    """Yield name, scope and text of everything that must be sound."""
    for scope in SCOPES:
        for name, call in CALLS.items():
            yield f"{name}()", scope, needed(call, scope) + call
        for query in queries().values():
            if scope in query.scopes:
                yield query.name, scope, bundle(query, scope)
    from scripts import workbook  # noqa: PLC0415  it is built on this module

    for name, text in workbook.embedded().items():
        yield name, "workspace", text


CALLS = {
    "ChargebackRows": "ChargebackRows(ago(30d))",
    "ChargebackCalls": "ChargebackCalls(ago(30d), now())",
}


# ---- the tools


def missing() -> str | None:
    """Say in one sentence why queries cannot be checked and run here, or None when they can."""
    if not (KUSTO / "node_modules" / "@kusto" / "language-service-next" / "package.json").is_file():
        return "the Kusto language service is not installed: run `make kql` (needs npm)"
    if not engine().is_file() or not (ENGINE / ".ready").is_file():
        return "duckdb-kql is not installed: run `make kql`"
    if (ENGINE / ".ready").read_text("utf-8") != ENGINE_LOCK.read_text("utf-8"):
        return "duckdb-kql has another version than tests/kql/requirements.txt says: run `make kql`"
    return None


def engine() -> Path:
    return ENGINE / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install() -> int:
    """Fetch both into build/, each in a place of its own; done once, it does nothing."""
    if missing() is None:
        return 0
    npm = shutil.which("npm")
    if npm is None:
        print("make kql needs npm: the Kusto language service is an npm package.")
        return 1
    print("Installing the Kusto language service and duckdb-kql into build/ (once)")
    KUSTO.mkdir(parents=True, exist_ok=True)
    fetch = [
        npm,
        "install",
        "--prefix",
        str(KUSTO),
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        "--loglevel=error",
    ]
    subprocess.run([*fetch, LANGUAGE_SERVICE], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - fixed words
    venv.create(ENGINE, with_pip=True, clear=True)
    pip = [
        str(engine()),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
    ]
    subprocess.run([*pip, "--requirement", str(ENGINE_LOCK)], check=True)  # noqa: S603 - fixed words and our own paths
    (ENGINE / ".ready").write_text(ENGINE_LOCK.read_text("utf-8"), "utf-8")
    return 0


def execute(
    scope: str, tables: Mapping[str, Any], texts: Mapping[str, str], now: datetime, *, kept: str | None = None
) -> dict[str, Any]:
    """Run KQL over tables of a scope in duckdb-kql; see ``tests/kql/duck.py``.

    ``kept``: a call of ChargebackCalls that is worked out once, for all queries.
    """
    question = {
        "now": now.isoformat(),
        "tables": tables,
        "functions": [function.as_stored for function in functions(scope).values()],
        "kept": kept and {"function": "ChargebackCalls", "call": kept},
        "queries": dict(texts),
    }
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [str(engine()), str(TOOLS / "duck.py")],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"duckdb-kql failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


# ---- the command


def report() -> int:
    """Print every query with its columns, and every fault; 1 if there is one."""
    found = check(texts())
    for answer in found:
        print(f"{answer['name']}  ({answer['scope']})")
        print("    " + ", ".join(f"{column['name']}: {column['type']}" for column in answer["columns"]))
        for fault in answer["faults"]:
            print(f"  ! {fault}")
    faulty = [answer["name"] for answer in found if answer["faults"]]
    print(f"\n{len(found)} texts checked, {len(queries())} queries; {len(faulty)} with faults")
    return 1 if faulty else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", nargs="?", choices=("check", "print", "install"), default="check")
    parser.add_argument("name", nargs="?", help="of the query to print")
    parser.add_argument("--scope", choices=SCOPES, default="workspace")
    options = parser.parse_args()
    if options.action == "print":
        query = queries().get(options.name)
        if query is None or options.scope not in query.scopes:
            known = ", ".join(name for name, each in queries().items() if options.scope in each.scopes)
            print(f"no query {options.name!r} in scope {options.scope}; there are {known}", file=sys.stderr)
            return 2
        print(bundle(query, options.scope), end="")
        return 0
    if options.action == "install":
        return install()
    return install() or report()


if __name__ == "__main__":
    raise SystemExit(main())
