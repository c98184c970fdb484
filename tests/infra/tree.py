"""Read Bicep into plain JSON, for the checks. A process of its own: the parser is no package of the project.

Each line of stdin is a file's text as a JSON string, each line of stdout what it holds: {errors, params, vars,
resources, modules, outputs, used, loops, calls}.
A value is a JSON value where it is a literal, {"expr": "..."} where it is computed, {"loop": item, "over": "..."} where
it is repeated.
"""

import json
import sys

import tree_sitter_bicep
from tree_sitter import Language, Parser

PARSER = Parser(Language(tree_sitter_bicep.language()))


def text(node):
    return node.text.decode()


def named(node):
    return [child for child in node.children if child.is_named and child.type != "comment"]


def value(node):  # noqa: PLR0911 - one way out a type
    if node.type == "object":
        return {key: told for key, told in map(member, named(node)) if key}
    if node.type == "array":
        return [value(child) for child in named(node)]
    if node.type == "string" and not any(child.type == "interpolation" for child in node.children):
        return "".join(text(child) for child in named(node))
    if node.type == "boolean":
        return text(node) == "true"
    if node.type == "number":
        return int(text(node))
    if node.type == "null":
        return None
    if node.type == "for_statement":
        *_, over, body = named(node)
        return {"loop": value(body), "over": text(over)}
    if node.type == "if_statement":
        condition, body = named(node)[0], named(node)[-1]
        return {"if": text(condition)[1:-1], **value(body)}
    return {"expr": text(node)}


def member(node):
    if node.type != "object_property":
        return None, None
    parts = named(node)
    if parts[0].type == "resource_declaration":
        return None, None
    return text(parts[0]).strip("'"), value(parts[-1])


def walk(node):
    yield node
    for child in node.children:
        yield from walk(child)


def used(root):
    """Names that expressions refer to: no declared name, property, key or decorator."""
    for node in walk(root):
        if node.type != "identifier" or node.parent is None:
            continue
        parent = node.parent
        above = [node]
        while above[-1].parent is not None:
            above.append(above[-1].parent)
        if any(each.type in ("decorator", "type") for each in above):
            continue
        declares = parent.type.endswith("_declaration") and parent.named_children[0] == node
        key = parent.type == "object_property" and parent.named_children[0] == node
        loop = parent.type == "for_statement" and node == parent.named_children[0]
        called = parent.type == "call_expression" and parent.named_children[0] == node
        member_name = parent.type == "member_expression" and parent.named_children[0] != node
        if not (declares or key or loop or called or member_name):
            yield text(node)


def loop_names(root):
    for node in walk(root):
        if node.type == "for_statement":
            for child in node.named_children[:-2]:
                kinds = ("identifier", "loop_variable", "loop_enumerator")
                yield from (text(each) for each in walk(child) if each.type in kinds)


def read(source):
    root = PARSER.parse(source.encode()).root_node
    told = {"errors": [], "params": {}, "vars": {}, "resources": [], "modules": [], "outputs": {}}
    for node in walk(root):
        if node.type == "ERROR" or node.is_missing:
            told["errors"].append(f"{node.start_point[0] + 1}:{node.start_point[1] + 1}")
        if not node.type.endswith("_declaration"):
            continue
        parts = named(node)
        name = text(parts[0])
        if node.type == "parameter_declaration":
            default = {} if len(parts) < 3 else {"default": value(parts[2])}
            told["params"][name] = {"type": text(parts[1]), **default}
        if node.type == "variable_declaration":
            told["vars"][name] = value(parts[1])
        if node.type == "output_declaration":
            told["outputs"][name] = value(parts[-1])
        if node.type in ("resource_declaration", "module_declaration"):
            body = value(parts[-1])
            head = text(node)[: text(node).find("{")].split("=")[0]
            where = "resources" if node.type == "resource_declaration" else "modules"
            kind, _, version = value(parts[1]).partition("@")
            told[where].append(
                {
                    "name": name,
                    "kind": kind,
                    "version": version,
                    "existing": " existing" in head,
                    "body": body,
                }
            )
    told["used"] = sorted(set(used(root)))
    told["loops"] = sorted(set(loop_names(root)))
    told["calls"] = [
        [text(node.named_children[0]), [value(each) for each in named(node.named_children[-1])]]
        for node in walk(root)
        if node.type == "call_expression"
    ]
    return told


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(read(json.loads(line))) + "\n")
        sys.stdout.flush()
