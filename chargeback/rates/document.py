"""YAML text -> plain mappings, lists and text, with the line of everything and no guesses.

YAML turns ``2.50`` into a float, ``NO`` into False and ``1_000`` into 1000. Here every scalar stays the
text that was written; an unquoted one is a ``Plain``, so that the schema can insist on quotes where a
float would lose money.
"""

from collections.abc import Iterator
from typing import Any, cast

import yaml
from msgspec import Struct

from chargeback.rates.faults import Finding, Path

# libyaml reads a table of 10,000 lines in a fraction of a second; the Python scanner needs several.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_yaml: Any = yaml  # types-pyyaml leaves the event API untyped

_NULLS = ("", "~", "null", "Null", "NULL")
_WHOLE = "a mapping with schema_version, table_id, currency, models and rates"
# The table itself is 5 deep. A bound keeps a hostile file from exhausting the stack.
_DEEPEST = 20


class Plain(str):
    """A scalar written without quotes."""

    __slots__ = ()


class Document(Struct, frozen=True):
    """``tree`` is None when the text is not one YAML mapping; ``findings`` then say why."""

    tree: dict[str, Any] | None
    lines: dict[Path, int]
    findings: tuple[Finding, ...]

    def line(self, path: Path) -> int | None:
        """Return the line of the path, or of its nearest parent that is in the text."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


class _Unreadable(Exception):  # noqa: N818 - not an error of the program: ends the walk over one text
    pass


def read(text: str) -> Document:
    """Read one document. Never raises: what YAML forbids, and what we forbid, becomes findings."""
    walk = _Walk()
    tree: Any = None
    try:
        tree = walk.document(text)
    except _Unreadable:
        pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        walk.fault((), line, f"broken YAML ({error.problem})", "valid YAML here or in the lines before")
    except (yaml.YAMLError, UnicodeError):
        walk.fault((), 1, "a character that YAML forbids", "printable Unicode text")
    if not isinstance(tree, dict) and not walk.findings:
        walk.fault((), 1, _kind(tree), _WHOLE)
    mapping = cast("dict[str, Any]", tree) if isinstance(tree, dict) else None
    return Document(mapping, walk.lines, tuple(walk.findings))


class _Walk:
    """One pass over the parser's events. Only the events tell quotes, anchors and repeated keys."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.findings: list[Finding] = []

    def fault(self, path: Path, line: int, value: str, expected: str) -> None:
        self.findings.append(Finding(path, value, expected, line))

    def document(self, text: str) -> Any:
        events: Iterator[Any] = _yaml.parse(text, Loader=_LOADER)
        tree: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.fault((), _line(event), "a second YAML document", "one document in a file")
                    raise _Unreadable
                tree = self.node(next(events), events, ())
        return tree

    def node(self, event: Any, events: Iterator[Any], path: Path) -> Any:
        self.lines.setdefault(path, _line(event))
        self._reject_magic(event, path)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        return None  # an alias, reported already

    def _reject_magic(self, event: Any, path: Path) -> None:
        if event.anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            expected = 'each value written out, without anchors and aliases; a star stands in quotes: "*"'
            self.fault(path, _line(event), f"the YAML reference {sign}{event.anchor}", expected)
        if getattr(event, "tag", None) is not None:
            self.fault(path, _line(event), "a YAML tag", "plain or quoted values without tags")
        if len(path) > _DEEPEST:
            self.fault(path[:1], _line(event), f"values nested {len(path)} deep", f"at most {_DEEPEST}")
            raise _Unreadable

    def _mapping(self, events: Iterator[Any], path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._key(event, events, path)
            inner = (*path, key)
            if key in mapping:
                first = self.lines[inner]
                value = f"the key {key!r} a second time"
                self.fault(inner, _line(event), value, f"each key once; line {first} has it already")
                self.node(next(events), events, inner)
                continue
            self.lines[inner] = _line(event)
            mapping[key] = self.node(next(events), events, inner)
        return mapping

    def _key(self, event: Any, events: Iterator[Any], path: Path) -> str:
        if isinstance(event, yaml.ScalarEvent):
            self._reject_magic(event, path)
            return event.value
        self.fault(path, _line(event), "a key that is not text", "text as key")
        self.node(event, events, (*path, "?"))
        return "?"

    def _sequence(self, events: Iterator[Any], path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self.node(event, events, (*path, len(items))))
        return items


def _scalar(event: yaml.ScalarEvent) -> str | None:
    if event.style:
        return event.value
    return None if event.value in _NULLS else Plain(event.value)


def _line(event: Any) -> int:
    return event.start_mark.line + 1


def _kind(tree: Any) -> str:
    if tree is None:
        return "nothing"
    return "a list" if isinstance(tree, list) else "text"
