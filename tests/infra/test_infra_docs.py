"""What the documents of infra say is there, is there; and what is there is said."""

import json
import re
from pathlib import Path

import pytest

from tests.infra.checks import ROLES, SKIPS

ROOT = Path(__file__).parents[2]
DEPLOY = (ROOT / "docs" / "deploy.md").read_text("utf-8")
POLICIES = (ROOT / "docs" / "gateway-policies.md").read_text("utf-8")
FRAGMENTS = {path.stem for path in (ROOT / "infra" / "policies").glob("chargeback-*.xml")}
NAMES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Table Data Contributor",
    "a638d3c7-ab3a-418d-83e6-5f17a39d4fde": "Azure Event Hubs Data Receiver",
    "2b629674-e913-4c01-ae53-ef4638d8f975": "Azure Event Hubs Data Sender",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd": "Cognitive Services OpenAI User",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
}


def test_every_value_that_is_set_with_azd_is_a_parameter():
    parameters = (ROOT / "infra" / "main.parameters.json").read_text("utf-8")
    named = set(re.findall(r"azd env set (\w+)", DEPLOY))

    assert named
    assert named <= set(re.findall(r"\$\{(\w+)", parameters))


def test_every_value_that_is_read_from_azd_is_an_output():
    outputs = set(
        re.findall(r"^output (\w+)", (ROOT / "infra" / "main.bicep").read_text("utf-8"), re.MULTILINE)
    )
    hooks = "".join(
        (ROOT / "infra" / name).read_text("utf-8") for name in ("upload-rates.sh", "upload-rates.ps1")
    )
    read = set(re.findall(r"azd env get-value (\w+)", DEPLOY)) | set(re.findall(r"AZURE_STORAGE\w+", hooks))

    assert read
    assert read <= outputs


def test_every_fragment_is_described_and_no_other():
    named = set(re.findall(r"`(chargeback-[a-z-]+)`", POLICIES))
    rows = {
        name
        for row in re.findall(r"^\| (`chargeback-.*?) \| ", POLICIES, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", row)
    }

    assert rows >= FRAGMENTS
    texts = "".join(path.read_text("utf-8") for path in (ROOT / "infra" / "policies").glob("*.xml"))
    assert [
        name for name in named - FRAGMENTS if f'"{name}"' not in texts and f"{{{{{name}}}}}" not in texts
    ] == []


def test_the_lines_to_paste_include_fragments_that_exist():
    assert set(re.findall(r'fragment-id="([^"]+)"', POLICIES)) <= FRAGMENTS


@pytest.mark.parametrize("role", sorted({role[3] for role in ROLES}), ids=NAMES.get)
def test_every_role_is_in_the_table_of_roles(role):
    table = DEPLOY[DEPLOY.index("## Roles") :]

    assert NAMES[role] in table


def test_the_parameters_in_the_example_are_what_the_templates_read():
    example = re.search(r"```json\n(.*?)\n```", DEPLOY, re.DOTALL)[1]
    accounts = json.loads("{" + example + "}")["standardAccounts"]["value"]
    bicep = "".join(path.read_text("utf-8") for path in (ROOT / "infra").rglob("*.bicep"))
    read = set(re.findall(r"\baccount\.(\w+)", bicep)) - {"id", "properties"}  # of the storage account

    for account in accounts:
        assert account.keys() == read
        assert account["endpoint"].endswith("/"), "the templates append to it"


def test_every_skip_of_checkov_has_a_reason():
    assert all(len(reason) > 20 for reason in SKIPS.values())
