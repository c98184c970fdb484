"""What API Management would say when the files are deployed: XML, C# 7, allowed types, rules of fragments."""

import re
import xml.etree.ElementTree as ET

import pytest

from tests.policies.gateway import NAMED, POLICIES, Gateway, PolicyError, closing, read_policies

FRAGMENTS = sorted(name for name in read_policies() if name.startswith("chargeback-"))
WHOLE = sorted(set(read_policies()) - set(FRAGMENTS))
FRAGMENT_LIMIT = 32 * 1024
"""learn.microsoft.com, "Reuse policy configurations", Limitations."""


def test_every_expression_compiles_and_uses_allowed_types_only(gateway):
    assert len(gateway.expressions) > 40
    assert gateway.forbidden() == []


@pytest.mark.parametrize("name", FRAGMENTS)
def test_a_fragment_keeps_the_rules_of_fragments(name):
    text = (POLICIES / f"{name}.xml").read_text("utf-8")
    root = ET.fromstring(text)

    assert root.tag == "fragment"
    assert len(text.encode()) < FRAGMENT_LIMIT
    assert {each.tag for each in root.iter()}.isdisjoint({"include-fragment", "base", "inbound", "outbound"})


@pytest.mark.parametrize("name", FRAGMENTS)
def test_a_fragment_says_what_it_does_and_what_it_never_does(name):
    comment = re.search(r"<!--(.*?)-->", (POLICIES / f"{name}.xml").read_text("utf-8"), re.DOTALL)[1]

    assert re.search(r"line (?:at the \w+ of |in )<(?:inbound|backend|outbound|on-error)>", comment)
    assert re.search(r"^    (Never|Limits|Answers|Changes) ", comment, re.MULTILINE)


@pytest.mark.parametrize("name", WHOLE)
def test_an_api_policy_includes_only_what_is_there_by_lines_of_their_own(name):
    root = ET.fromstring((POLICIES / f"{name}.xml").read_text("utf-8"))
    included = {each.attrib["fragment-id"] for each in root.iter("include-fragment")}

    assert included <= set(FRAGMENTS)
    assert {each.tag for section in root for each in section} <= {"base", "include-fragment", "set-variable"}


@pytest.mark.parametrize("name", [*FRAGMENTS, *WHOLE])
def test_no_line_comment_stands_in_an_attribute(name):
    """XML turns an attribute's line breaks into blanks: behind // the rest of the expression would vanish."""
    for attribute in re.findall(r"='(@[^']*)'", (POLICIES / f"{name}.xml").read_text("utf-8")):
        assert not re.search(r"(?<!:)//", attribute)


def test_there_are_as_many_slots_as_the_fragment_counts_on():
    text = (POLICIES / "chargeback-log-exchange.xml").read_text("utf-8")
    promised = int(re.search(r"const int slots = (\d+);", text)[1])

    assert [int(each) for each in re.findall(r"\)\.Length > (\d+)\)'", text)] == list(range(promised))
    assert [int(each) for each in re.findall(r"\)\[(\d+)\]\)</log", text)] == list(range(promised))


def test_nothing_reads_keys_or_the_authorization_header():
    """Only the check for its presence names the header, and only to have the token validated."""
    for name, text in read_policies().items():
        code = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
        named = re.findall(r".*(?:[Aa]uthorization|[Ss]ubscription[-.]?[Kk]ey|PrimaryKey|api-key).*", code)
        allowed = (
            'ContainsKey("Authorization")',
            'header-name="Authorization"',
            'name="api-key" exists-action="delete"',
            'name="Ocp-Apim-Subscription-Key" exists-action="delete"',
        )

        assert [line for line in named if not any(each in line for each in allowed)] == [], name


def test_every_named_value_is_known():
    used = set(re.findall(r"\{\{([^{}]+)\}\}", "".join(read_policies().values())))

    assert used == set(NAMED)


# ---- what must be refused


def compiled(expression):
    """Compile a policy that consists of one variable."""
    inner = f"<set-variable name='x' value=\"{expression.replace('&', '&amp;').replace('<', '&lt;').replace(chr(34), '&quot;')}\" />"
    return Gateway({"one": f"<fragment>{inner}</fragment>"}, NAMED)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("@(context.Request.Bdy)", "CS1061"),
        ('@{ if (context.Api == null) { return ""; } }', "CS0161"),
        ('@(context.Api.Name switch { "a" => 1, _ => 2 })', "CS1525"),
        ("@(context.Response.Body.As<string>(preserve: true))", "CS1739"),
    ],
    ids=["a member that is not documented", "a path without return", "C# 8", "a misspelt argument"],
)
def test_what_is_not_csharp_7_against_the_documented_context_does_not_compile(expression, code):
    with pytest.raises(PolicyError, match=code):
        compiled(expression)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('@(System.Environment.GetEnvironmentVariable("PATH"))', "System.Environment"),
        ("@(context.Timestamp.ToUniversalTime())", "System.DateTime.ToUniversalTime"),
        ("@(DateTime.UtcNow - context.Timestamp)", "System.DateTime.op_Subtraction"),
        ('@(JsonConvert.ToString("x"))', "Newtonsoft.Json.JsonConvert.ToString"),
        ("@{ System.Threading.Thread.Sleep(1); return 1; }", "System.Threading.Thread"),
        ("@{ Func<int> one = () => 1; return one(); }", "Func<"),
        ('@(Regex.Match("a", "a").Value.GetType().Assembly.FullName)', "System.Reflection.Assembly"),
    ],
    ids=[
        "environment",
        "DateTime member",
        "DateTime operator",
        "JsonConvert",
        "threads",
        "delegates",
        "reflection",
    ],
)
def test_what_compiles_but_is_not_allowed_is_found(expression, found):
    assert found in compiled(expression).forbidden()


def test_what_is_allowed_passes():
    one = compiled(
        '@{ int n; var ok = int.TryParse("4", out n); (int a, int b) pair = (1, 2); object o = "x";'
        ' if (o is string s && ok) { return $"{s}{n}{new[] { 3, 4 }.Where(i => i > 3).Count()}"; }'
        ' return context.Product?.Name ?? "none"; }'
    )

    assert [found for found in one.forbidden() if "ValueTuple" not in found] == []


def test_text_behind_an_expression_is_refused():
    with pytest.raises(PolicyError, match="text after the end"):
        Gateway({"one": "<fragment><set-variable name='x' value='@(1) and more' /></fragment>"}, NAMED)


def test_a_file_that_is_not_xml_is_refused_with_its_line():
    with pytest.raises(PolicyError, match=r"one\.xml:2: not well-formed"):
        Gateway({"one": "<fragment>\n<a></b></fragment>"}, NAMED)


@pytest.mark.parametrize(
    "text", ['(")")', "(')')", '(@"a"")")', '($"{x})")', "(/* ) */ 1)", "(new[] { '\\'' })"]
)
def test_brackets_in_texts_and_comments_do_not_close_an_expression(text):
    assert closing(text + " rest", 0) == len(text) - 1
