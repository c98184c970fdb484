"""Rate-table text -> ``RateTable``, or one error that lists every fault.

text -> document (YAML, lines) -> schema (shape, values) -> rows -> checks (what rows mean together)

A section with a fault takes no part in the checks: a price that cannot be read would otherwise be
reported a second time as a deployment without a rate.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, get_args

import msgspec
from msgspec import Struct
from pydantic import BaseModel, ValidationError

from chargeback.rates.checks import CHECKS
from chargeback.rates.document import Document, Plain, read
from chargeback.rates.faults import (
    Fault,
    Finding,
    Path,
    RateTableError,
    Severity,
    any_of,
    did_you_mean,
    path_text,
)
from chargeback.rates.history import rewritten, stale
from chargeback.rates.rows import Rows
from chargeback.rates.schema import STAND_INS, RateFile
from chargeback.rates.table import RateTable, canonical, parse_canonical
from chargeback.rates.values import EXPECTED

_NUMBER = re.compile(r"[-+]?[\d_]*\.?[\d_]+([eE][-+]?\d+)?$")


class _Reading(Struct, frozen=True):
    faults: tuple[Fault, ...]
    rows: Rows | None


def parse(text: str, *, source: str) -> RateTable:
    """Return the compiled table. ``source`` is the name of the file, for messages."""
    reading = _read(text)
    if reading.rows is None or any(fault.severity == "error" for fault in reading.faults):
        raise RateTableError(source, reading.faults)
    return parse_canonical(canonical(reading.rows))


def faults(text: str, *, source: str, today: date | None = None) -> tuple[Fault, ...]:  # noqa: ARG001 - the twin of parse; Fault.told takes the name
    """Return all errors and warnings, in the order of the file; ``today`` also judges the table's age."""
    reading = _read(text)
    if today is None or reading.rows is None:
        return reading.faults
    document = read(text)
    old = [_fault(document, each, "warning") for each in stale(reading.rows, today)]
    return tuple(sorted((*reading.faults, *old), key=lambda fault: fault.line or 0))


def faults_against(text: str, old: Rows, until: datetime) -> tuple[Fault, ...]:
    """Return where the table rewrites what ``old`` has billed before ``until``."""
    reading, document = _read(text), read(text)
    if reading.rows is None:
        return ()
    return tuple(_fault(document, each, "error") for each in rewritten(old, reading.rows, until))


def _read(text: str) -> _Reading:
    document = read(text)
    found = [_fault(document, finding, "error") for finding in document.findings]
    rows = None
    if document.tree is not None:
        broken, findings = _shape(document.tree)
        told = {finding.path for finding in document.findings}
        found += [_fault(document, each, "error") for each in findings if each.path not in told]
        rows = _rows(document.tree, broken)
        found += _checked(document, rows, broken)
    return _Reading(tuple(sorted(found, key=lambda fault: fault.line or 0)), rows)


def _checked(document: Document, rows: Rows, broken: set[str]) -> list[Fault]:
    found: list[Fault] = []
    doubtful = set(broken)
    for check in CHECKS:
        if (doubtful if check.follows else broken).isdisjoint(check.reads):
            findings = list(check.find(rows))
            found += [_fault(document, each, check.severity) for each in findings]
            if check.severity == "error":
                doubtful |= {str(each.path[0]) for each in findings}
    return found


def _fault(document: Document, finding: Finding, severity: Severity) -> Fault:
    path = path_text(finding.path)
    line = finding.line or document.line(finding.path)
    return Fault(path=path, value=finding.value, expected=finding.expected, severity=severity, line=line)


def _rows(tree: dict[str, Any], broken: set[str]) -> Rows:
    sound = {
        name: value for name, value in tree.items() if name not in broken and name in RateFile.model_fields
    }
    file = RateFile.model_validate({**STAND_INS, **sound})
    return msgspec.convert(file.model_dump(mode="json", by_alias=True, exclude_none=True), Rows)


# ---- shape: pydantic's errors in our words


def _shape(tree: dict[str, Any]) -> tuple[set[str], list[Finding]]:
    try:
        RateFile.model_validate(tree)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        return {str(each["loc"][0]) for each in errors}, [_finding(each) for each in errors]
    return set(), []


def _finding(error: Any) -> Finding:
    path: Path = tuple(step for step in error["loc"] if step != "[key]")
    words = _WORDS.get(error["type"])
    expected = error["msg"] if words is None else words(error, path)
    return Finding(path, _found(error, path), expected)


def _found(error: Any, path: Path) -> str:
    if error["type"] == "missing":
        return "nothing"
    if error["type"] == "extra_forbidden":
        return "an unknown key"
    if error["type"] == EXPECTED and isinstance(error["input"], dict):
        return f"the keys: {', '.join(sorted(error['input']))}"
    return described(error["input"], secret="key_ids" in path)


def described(value: object, *, secret: bool = False) -> str:
    """Return the value's kind, with a short quotation of what people wrote."""
    if value is None:
        return "nothing (null)"
    if not isinstance(value, str):
        return "a list" if isinstance(value, list) else "a mapping"
    if secret:
        return f"text of {len(value)} characters"
    quoted = value if len(value) <= 40 else value[:37] + "..."
    return (
        f"the plain number {quoted}"
        if isinstance(value, Plain) and _NUMBER.match(value[:64])
        else repr(quoted)
    )


# (error, path) -> what was expected; our own errors say it themselves
def _missing(_: Any, path: Path) -> str:
    return f"the required key {path[-1]!r}: {_fields_at(path[:-1])[str(path[-1])]}"


def _unknown_key(_: Any, path: Path) -> str:
    known = _fields_at(path[:-1])
    return any_of(known) + did_you_mean(str(path[-1]), known)


def _say(text: str) -> Callable[[Any, Path], str]:
    return lambda _error, _path: text


_WORDS: dict[str, Callable[[Any, Path], str]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "string_type": _say("text"),
    "string_too_short": _say("text that is not empty"),
    "string_too_long": _say("at most 200 characters"),
    "tuple_type": _say("a list"),
    "dict_type": _say("a mapping"),
    "model_type": _say("a mapping"),
    "too_short": _say("at least one entry"),
}


def _fields_at(path: Path) -> dict[str, str]:
    """Return key -> description of the section a path leads to."""
    annotation: Any = RateFile
    for step in path:
        inner = _section(annotation)
        annotation = inner if inner is None or isinstance(step, int) else _step(inner, step)
    section = _section(annotation)
    return (
        {}
        if section is None
        else {field.alias or name: field.description or name for name, field in section.model_fields.items()}
    )


def _step(section: type[BaseModel], step: str) -> Any:
    by_key = {field.alias or name: field.annotation for name, field in section.model_fields.items()}
    return by_key.get(step, section)


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside ``tuple[Rate, ...]``, ``dict[str, Meter]``, ``Source | None`` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _section(each))), None)
