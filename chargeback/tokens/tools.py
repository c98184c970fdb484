"""Function definitions as the model sees them: TypeScript, one declaration a function.

The service does not put the JSON of ``tools`` into the prompt but a namespace of function types,
and bills its tokens. The layout below reproduces the billed counts (docs/token-counting.md).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from chargeback.tokens.reader import as_list, as_object, as_text, dumped, objects

Schema = Mapping[str, Any]

MOST_NODES = 20_000
"""Schema nodes rendered per request: ``$ref`` lets a small body stand for billions of them."""

MOST_CHARACTERS = 4_000_000
"""Characters rendered per request, for the same reason: one long description, referred to often."""

DEEPEST = 40
"""Levels of nesting rendered; recorded schemas have up to 3, JSON readers stop near 1,000."""

LONGEST_CHAIN = 6
"""References followed one after the other before the target counts as unknown."""

_WORDS = {
    "string": "string",
    "boolean": "boolean",
    "null": "null",
    "number": "number",
    "integer": "number",
}

_LIMITS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_HALF_KNOWN = frozenset({"allOf", "not", "patternProperties", "prefixItems", *_LIMITS})


class Style(NamedTuple):
    """What differs between APIs and models."""

    indented: bool = True
    """Properties of an object within an object stand two blanks further right."""
    remark_at_brace: bool = False
    """Title and description of ``parameters`` stand before the brace, not above the declaration."""
    limits: bool = False
    """Smallest and largest values are told in a remark."""


PLAIN = Style()


class Declarations:
    """The text of one request's functions, and what has to be said about it."""

    def __init__(self, functions: Sequence[Schema], style: Style = PLAIN) -> None:
        self._style = style
        self._nodes_left = MOST_NODES
        self._characters_left = MOST_CHARACTERS
        self._root: Schema = {}
        self.half_known = False
        # First keyword present decides.
        self._by_keyword: Mapping[str, Callable[[Schema, int], str]] = {
            "anyOf": self._any_of,
            "oneOf": self._any_of,
            "enum": self._enum,
            "const": self._const,
            "type": self._by_type,
        }
        lines = ["namespace functions {", ""]
        for function in functions:
            lines += [*self._function(function), ""]
        self.text = "\n".join([*lines, "} // namespace functions"])

    @property
    def truncated(self) -> bool:
        return self._nodes_left <= 0 or self._characters_left <= 0

    def _function(self, function: Schema) -> Iterator[str]:
        name = as_text(function.get("name"))
        self._root = as_object(function.get("parameters"))
        yield from _comment(as_text(function.get("description")).strip())
        properties = as_object(self._root.get("properties"))
        if not properties:
            yield f"type {name} = () => any;"
            return
        remark = self._parameters_remark()
        lines = list(self._properties(self._root, 0, ""))
        if self._style.remark_at_brace and remark:
            yield f"type {name} = (_: {remark[0]}"
            yield from [*remark[1:], "{", *lines, "}) => any;"]
            return
        yield from remark
        if any(self._remark(self._resolved(schema)) for schema in properties.values()):
            yield from [f"type {name} = (_: {{", *lines, "}) => any;"]
        else:
            yield f"type {name} = (_: {{ {' '.join(lines).removesuffix(',')} }}) => any;"

    def _parameters_remark(self) -> list[str]:
        title, description = as_text(self._root.get("title")), as_text(self._root.get("description")).strip()
        return [*_comment(title), *_comment(description)]

    def _properties(self, owner: Schema, level: int, indent: str) -> Iterator[str]:
        required = as_list(owner.get("required"))
        for key, value in as_object(owner.get("properties")).items():
            schema = self._resolved(value)
            for line in self._remark(schema):
                self._characters_left -= len(line)
                yield indent + line
            mark = "" if key in required else "?"
            type_text = self._type(schema, level)
            self._characters_left -= len(type_text)
            gap = "" if type_text.startswith("\n//") else " "
            yield f"{indent}{key}{mark}:{gap}{type_text},{self._default(schema)}"

    def _remark(self, schema: Schema) -> list[str]:
        if self.truncated:
            return []
        title = _comment(as_text(schema.get("title")))
        description = _comment(as_text(schema.get("description")).strip())
        gap = ["//"] if title and description else []
        limits = [
            f"// {word}: {dumped(schema[word])}" for word in _LIMITS if self._style.limits and word in schema
        ]
        return [*title, *gap, *description, *limits]

    def _default(self, schema: Schema) -> str:
        # The remark would stand behind the closing brace of an object; there it is not billed.
        if "default" not in schema or schema.get("properties") or self.truncated:
            return ""
        return f" // default: {dumped(schema['default'], spaced=True, ascii_only=True)}"

    def _type(self, value: Any, level: int) -> str:
        schema = self._resolved(value)
        self._nodes_left -= 1
        if level > DEEPEST:
            self._nodes_left = 0
        if self.truncated:
            return "any"
        self.half_known |= not _HALF_KNOWN.isdisjoint(schema)
        for keyword, render in self._by_keyword.items():
            if keyword in schema:
                return render(schema, level)
        return "any"

    def _any_of(self, schema: Schema, level: int) -> str:
        # Measured: in a union an array costs one token, as ``any`` does, and not what it holds.
        members = [self._resolved(member) for member in as_list(schema.get("anyOf") or schema.get("oneOf"))]
        return " | ".join(
            "any" if member.get("type") == "array" else self._type(member, level + 1) for member in members
        )

    def _enum(self, schema: Schema, _level: int) -> str:
        return " | ".join(dumped(value) for value in as_list(schema["enum"]))

    def _const(self, schema: Schema, _level: int) -> str:
        return dumped(schema["const"])

    def _by_type(self, schema: Schema, level: int) -> str:
        named = schema["type"]
        if as_list(named) and schema.get("description"):
            self.half_known = True
            remark = _comment(as_text(schema["description"]).strip())[:1]
            words = [self._type({**schema, "type": word}, level + 1) for word in as_list(named)]
            return "".join(f"\n| {' '.join([word, *remark])}" for word in words)
        if as_list(named):
            return " | ".join(self._type({**schema, "type": word}, level + 1) for word in as_list(named))
        if named == "array":
            return self._array(schema.get("items"), level)
        if named == "object":
            indent = "  " * (level + 1) if self._style.indented else ""
            return self._object(schema, level, indent) if schema.get("properties") else "object"
        return _WORDS.get(as_text(named), "any")

    def _array(self, items: Any, level: int) -> str:
        schema = self._resolved(items)
        if schema.get("type") != "object" or not schema.get("properties"):
            return self._type(schema, level + 1) + "[]"
        # Inferred from three recorded tool sets, which it counts to the token: lists of objects are
        # written as a generic type, on one line unless something in it is described.
        self.half_known = True
        lines = list(self._properties(schema, level + 1, ""))
        if not any(line.startswith("//") for line in lines):
            return f"Array<{{ {' '.join(lines)} }}>"
        heading = [f"// {as_text(schema['title'])}"] if as_text(schema.get("title")) else []
        opening = ["", *heading, "Array<"] if heading else ["Array<"]
        return "\n".join([*opening, "{", *lines, "  }", ">"])

    def _object(self, schema: Schema, level: int, indent: str) -> str:
        lines = list(self._properties(schema, level + 1, indent))
        return "\n".join(["{", *lines, indent.removesuffix("  ") + "}"])

    def _resolved(self, value: Any) -> Schema:
        """Follow ``$ref`` to a schema of the same function; what stands beside it wins."""
        schema = as_object(value)
        for _ in range(LONGEST_CHAIN):
            if "$ref" not in schema:
                return schema
            beside = {key: entry for key, entry in schema.items() if key != "$ref"}
            target = self._target(as_text(schema["$ref"]))
            schema = {**target, **beside} if beside else target
        return {key: entry for key, entry in schema.items() if key != "$ref"}

    def _target(self, pointer: str) -> Schema:
        found: Any = self._root if pointer.startswith("#/") else {}
        for step in pointer.removeprefix("#/").split("/"):
            found = as_object(found).get(step)
        return as_object(found)


def functions_of(request: Mapping[str, Any]) -> list[Schema]:
    """Return the function definitions of a Chat Completions request, legacy ``functions`` included."""
    modern = [as_object(tool.get("function")) for tool in objects(request.get("tools"))]
    return [function for function in [*modern, *objects(request.get("functions"))] if function]


def chosen_function(request: Mapping[str, Any]) -> str:
    """Return the name of the one function the request demands, ``""`` when it leaves the choice."""
    choice = as_object(request.get("tool_choice") or request.get("function_call"))
    return as_text(as_object(choice.get("function") or choice).get("name"))


def _comment(text: str) -> list[str]:
    return [f"// {line.strip()}".rstrip() for line in text.split("\n")] if text else []
