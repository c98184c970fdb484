"""What API Management would say when the files are deployed: XML, C# 7, allowed types."""

import pytest

from tests.policies.gateway import NAMED, Gateway, PolicyError, closing


def test_every_expression_compiles_and_uses_allowed_types_only(gateway):
    assert len(gateway.expressions) > 40
    assert gateway.forbidden() == []


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
