"""The worked example: three functions, rendered and counted to the token in every kind of request."""

import pytest

from chargeback.tokens import count_text, prompt_tokens
from chargeback.tokens.tools import Declarations, Style

BUYER = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "Legal name."},
        "vat": {"type": ["string", "null"]},
    },
    "required": ["name"],
}
FIND = {
    "name": "find_invoice",
    "description": "Find one invoice.\n\n  Searches the current year only.",
    "parameters": {
        "type": "object",
        "title": "FindInvoice",
        "properties": {
            "number": {"type": "string", "description": "Invoice number,\nfor example INV-204."},
            "currency": {"type": "string", "title": "Currency", "enum": ["EUR", "USD"], "default": "EUR"},
            "status": {
                "title": "Status",
                "description": "Filter by status.",
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "default": None,
            },
            "line_ids": {"type": "array", "items": {"type": "integer"}},
            "buyer": {"$ref": "#/$defs/Buyer"},
        },
        "required": ["number", "buyer"],
        "additionalProperties": False,
        "$defs": {"Buyer": BUYER},
    },
}
ADD = {
    "name": "add",
    "description": "Add two numbers.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
PING = {"name": "ping", "parameters": {"type": "object", "properties": {}}}

RENDERED = """namespace functions {

// Find one invoice.
//
// Searches the current year only.
// FindInvoice
type find_invoice = (_: {
// Invoice number,
// for example INV-204.
number: string,
// Currency
currency?: "EUR" | "USD", // default: "EUR"
// Status
//
// Filter by status.
status?: string | null, // default: null
line_ids?: number[],
buyer: {
  // Legal name.
  name: string,
  vat?: string | null,
},
}) => any;

// Add two numbers.
type add = (_: { a: number, b: number }) => any;

type ping = () => any;

} // namespace functions"""

TALK = [
    {"role": "system", "content": "You answer billing questions."},
    {"role": "user", "content": "What is the total of INV-204?"},
]
TOOLS = [{"type": "function", "function": function} for function in (FIND, ADD, PING)]
ONE_CALL = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {
                    "name": "find_invoice",
                    "arguments": '{"number": "INV-204", "buyer": {"name": "Acme"}}',
                },
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": '{"total": 129.5}'},
]
SCHEMA = {
    "type": "object",
    "title": "Answer",
    "properties": {
        "total": {"type": "number", "title": "Total", "minimum": 0},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Note"},
    },
    "required": ["total", "note"],
    "additionalProperties": False,
}


def test_three_functions_render_to_the_text_the_service_bills():
    assert Declarations([FIND, ADD, PING]).text == RENDERED


@pytest.mark.parametrize(("encoding", "tokens"), [("o200k_base", 133), ("cl100k_base", 143)])
def test_the_rendered_text_has_its_known_size(encoding, tokens):
    assert count_text(RENDERED, encoding) == tokens


@pytest.mark.parametrize(
    ("model", "more", "tokens"),
    [
        pytest.param("gpt-4o", {}, 25, id="messages only"),
        pytest.param("gpt-5-mini", {}, 24, id="messages to a reasoning model"),
        pytest.param("gpt-4o", {"tools": TOOLS}, 163, id="tools"),
        pytest.param("gpt-4", {"tools": TOOLS}, 173, id="tools, older vocabulary"),
        pytest.param("gpt-5-mini", {"tools": TOOLS}, 247, id="tools, reasoning"),
        pytest.param("o3-mini", {"tools": TOOLS}, 163, id="tools, first reasoning models"),
        pytest.param(
            "gpt-4o",
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "find_invoice"}}},
            172,
            id="a demanded function",
        ),
        pytest.param(
            "gpt-5-mini",
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "find_invoice"}}},
            247,
            id="a demanded function costs a reasoning model nothing",
        ),
        pytest.param("gpt-4o", {"tools": TOOLS, "messages": [*TALK, *ONE_CALL]}, 202, id="call and answer"),
        pytest.param(
            "gpt-5-mini",
            {"tools": TOOLS, "messages": [*TALK, *ONE_CALL]},
            292,
            id="call and answer, reasoning",
        ),
    ],
)
def test_worked_totals(model, more, tokens):
    estimate = prompt_tokens("chat", {"messages": TALK, **more}, model)

    assert estimate.tokens == tokens


def test_parallel_calls_become_one_call_and_one_answer():
    calls = [("add", '{"a": 1, "b": 2}'), ("ping", "{}")]
    history = [
        {
            "role": "assistant",
            "tool_calls": [
                {"type": "function", "function": {"name": name, "arguments": arguments}}
                for name, arguments in calls
            ],
        },
        {"role": "tool", "content": "3\n4"},
        {"role": "tool", "content": "ok"},
    ]
    asked = (
        '{"tool_uses":[{"recipient_name":"functions.add","parameters":{"a":1,"b":2}},'
        '{"recipient_name":"functions.ping","parameters":{}}]}'
    )
    answered = '["3\\n4", "ok"]'

    plain = prompt_tokens("chat", {"messages": TALK, "tools": TOOLS}, "gpt-4o").tokens
    full = prompt_tokens("chat", {"messages": [*TALK, *history], "tools": TOOLS}, "gpt-4o").tokens

    assert full - plain == 20 + count_text(asked, "o200k_base") + count_text(answered, "o200k_base")


@pytest.mark.parametrize(
    ("messages", "tokens"),
    [pytest.param(TALK, 81, id="below a system message"), pytest.param(TALK[1:], 76, id="alone")],
)
def test_a_response_format_is_billed_with_its_name_heading_the_answer(messages, tokens):
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "Answer", "description": "Final answer.", "schema": SCHEMA},
    }

    estimate = prompt_tokens("chat", {"messages": messages, "response_format": wanted}, "gpt-4o")

    assert estimate.tokens == tokens
    assert "counted_json_schema" in estimate.notes


def test_a_dash_in_a_schema_is_billed_as_its_escape():
    def tokens_with(description):
        schema = {"type": "object", "properties": {"x": {"type": "string", "description": description}}}
        wanted = {"type": "json_schema", "json_schema": {"name": "X", "schema": schema}}
        return prompt_tokens("chat", {"messages": TALK, "response_format": wanted}, "gpt-4o").tokens

    assert tokens_with("a — b") - tokens_with("a b") == count_text('a \\u2014 b"', "o200k_base") - count_text(
        'a b"', "o200k_base"
    )


def test_an_object_in_a_list_is_written_as_a_generic_type():
    item = {"type": "object", "properties": {"label": {"type": "string"}, "size": {"type": "integer"}}}
    parameters = {"type": "object", "properties": {"rows": {"type": "array", "items": item}}}

    text = Declarations([{"name": "save", "parameters": parameters}]).text

    assert "type save = (_: { rows?: Array<{ label?: string, size?: number, }> }) => any;" in text


def test_the_responses_api_writes_the_title_before_the_brace():
    parameters = {"title": "Args", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    text = Declarations([{"name": "sun", "parameters": parameters}], Style(remark_at_brace=True)).text

    assert "type sun = (_: // Args\n{\ncity: string,\n}) => any;" in text


def test_newer_models_are_told_the_limits():
    parameters = {"properties": {"n": {"type": "integer", "exclusiveMinimum": -5, "maximum": 9}}}
    function = {"name": "f", "parameters": parameters}

    assert "limit" not in Declarations([function]).text
    assert (
        "// exclusiveMinimum: -5\n// maximum: 9\nn?: number,"
        in Declarations([function], Style(limits=True)).text
    )


def test_references_that_never_end_are_any():
    parameters = {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}}

    assert (
        "type loop = (_: { a?: any }) => any;"
        in Declarations([{"name": "loop", "parameters": parameters}]).text
    )


def test_a_small_schema_that_stands_for_billions_of_nodes_is_cut_and_noted():
    defs = {
        f"L{level}": {
            "type": "object",
            "properties": {f"p{n}": {"$ref": f"#/$defs/L{level + 1}"} for n in range(20)},
        }
        for level in range(30)
    }
    parameters = {"properties": {"root": {"$ref": "#/$defs/L0"}}, "$defs": defs}
    request = {
        "messages": TALK,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}],
    }

    estimate = prompt_tokens("chat", request, "gpt-4o")

    assert "schema_too_large" in estimate.notes


def test_a_long_description_referred_to_often_is_cut_and_noted():
    defs = {"Long": {"type": "string", "description": "x " * 200_000, "enum": ["y" * 100_000]}}
    parameters = {"properties": {f"p{n}": {"$ref": "#/$defs/Long"} for n in range(5_000)}, "$defs": defs}

    declarations = Declarations([{"name": "f", "parameters": parameters}])

    assert declarations.truncated
    assert len(declarations.text) < 6_000_000
