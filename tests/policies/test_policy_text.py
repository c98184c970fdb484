"""What can be told of the policies by reading them: XML, rules of fragments, no keys. Needs nothing but Python."""

import re
import xml.etree.ElementTree as ET

import pytest

from tests.policies.gateway import NAMED, POLICIES, read_policies, tokenised

FRAGMENTS = sorted(name for name in read_policies() if name.startswith("chargeback-"))
WHOLE = sorted(set(read_policies()) - set(FRAGMENTS))
FRAGMENT_LIMIT = 32 * 1024
"""learn.microsoft.com, "Reuse policy configurations", Limitations."""


@pytest.mark.parametrize("name", [*FRAGMENTS, *WHOLE])
def test_every_expression_ends_where_its_value_ends(name):
    tree, found = tokenised(name, read_policies()[name], NAMED, 0)

    assert "@(" not in tree
    assert "@{" not in tree
    assert len(found) == len(re.findall("@@E[0-9]+@@", tree))


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
