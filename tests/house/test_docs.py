"""The documents say what is there, and what is there is said."""

import re
import tomllib
from pathlib import Path

from chargeback.observe import LOG_EVENTS
from chargeback.settings import Settings

ROOT = Path(__file__).parents[2]


def test_every_setting_is_documented_and_every_documented_setting_exists():
    names = {str(field.alias) for field in Settings.model_fields.values()}
    table = re.findall(r"^\| (`[^|]+`) \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    told: set[str] = set()
    for cell in table:
        first, *others = re.findall(r"`([^`]+)`", cell)
        told |= {first, *(first.split("__")[0] + other for other in others)}

    assert told == names


def test_every_log_name_is_logged_somewhere_and_no_other():
    code = "".join(
        path.read_text() for path in (ROOT / "chargeback").rglob("*.py") if path.name != "observe.py"
    )
    logged = set(re.findall(r'observe\.log\(\s*"([a-z_.]+)"', code))

    assert logged == set(LOG_EVENTS)


def test_every_file_a_document_links_to_is_there():
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_test_the_readme_names_as_proof_is_there():
    for named in re.findall(r"`(tests/[^`*]+)`", (ROOT / "README.md").read_text()):
        assert (ROOT / named).exists(), named


def test_every_module_is_in_a_layer():
    """A module that is in none may import anything."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {module.strip() for layer in layers for module in layer.split("|")}
    package = ROOT / "chargeback"
    modules = {f"chargeback.{path.stem}" for path in package.glob("*.py")} - {"chargeback.__init__"}
    packages = {f"chargeback.{path.parent.name}" for path in package.glob("*/__init__.py")}
    parts = {f"chargeback.{name.split('.')[1]}" for name in named}

    assert modules | packages == parts


def test_every_documented_default_is_the_one_of_the_code():
    fields = {str(field.alias): field.default for field in Settings.model_fields.values()}
    rows = re.findall(
        r"^\| `([^`|]+)` \| (?:`([^`]*)`)? *\|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 20
    for name, told in rows:
        default = fields[name]
        plain = "" if default is None or default == frozenset() else f"{default:g}" if isinstance(default, float) else str(default)  # fmt: skip

        assert told == (plain.lower() if isinstance(default, bool) else plain), name
