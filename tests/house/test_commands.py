"""Commands, options and snippets of the documents are those of the program, and every one of the program is documented."""

import re
import runpy
import sys
from pathlib import Path

import pytest
import yaml

from chargeback.cli import manners
from chargeback.cli.checkups import CHECKS
from chargeback.cli.commands import app
from chargeback.observe import LOG_EVENTS
from chargeback.settings import Settings
from chargeback.wiring import settings
from tests.support.command_line import commands, options_of, words_of

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "samples" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]  # fmt: skip
WRITTEN = {"docs/commands.md": "scripts/commands.py", "docs/data-path.md": "scripts/data_path.py"}
COMMANDS = {" ".join(path): options_of(command) for path, command in commands()}
GROUPS = {" ".join(name.split()[:-1]) for name in COMMANDS} | {""}


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def lines_of(text):
    """Lines of code blocks and code spans that call the program; continued lines are one."""
    joined = text.replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", joined, re.MULTILINE | re.DOTALL)
    indented = re.findall(
        r"^ {4}(chargeback .*)$",
        re.sub(r"^```.*?^```", "", joined, flags=re.MULTILINE | re.DOTALL),
        re.MULTILINE,
    )
    spans = re.findall(
        r"`([^`\n]*\bchargeback [^`\n]*)`", re.sub(r"^```.*?^```", "", joined, flags=re.MULTILINE | re.DOTALL)
    )
    for line in (*(each for block in blocks for each in block.splitlines()), *indented, *spans):
        bare = line.strip().removeprefix("$ ")
        if re.match(r"(?:\w+=\S+ )*(?:\.venv/bin/)?chargeback [a-z-]", bare):
            yield bare


def fault_of(line):
    """What no command would take, or None."""
    words = words_of(re.sub(r"\s\(.*", "", line))
    name = ""
    while words and f"{name} {words[0]}".strip() in {*COMMANDS, *GROUPS}:
        name = f"{name} {words.pop(0)}".strip()
    if name in GROUPS:
        return None if not words or words[0].startswith("--") else f"no command {name} {words[0]}"
    strange = {word.partition("=")[0] for word in words if word.startswith("--")} - COMMANDS[name]
    return f"{name}: no option {', '.join(strange)}" if strange else None


# Generated


@pytest.mark.parametrize("page", WRITTEN)
def test_the_page_is_fresh(page):
    script = runpy.run_path(str(ROOT / WRITTEN[page]))

    assert (ROOT / page).read_text("utf-8") == script["page"](), f"run `python {WRITTEN[page]}`"


def test_every_command_and_option_is_on_the_page_of_commands():
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    for name, options in COMMANDS.items():
        part = text.partition(f"## chargeback {name}\n")[2].partition("\n## ")[0]

        assert {word for word in options if word not in part} == set(), name


# Named


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_only_commands_and_options_that_there_are(page):
    assert [fault for line in lines_of(page.read_text("utf-8")) if (fault := fault_of(line))] == []


def test_what_no_command_takes_is_found():
    text = "`chargeback reprot` `chargeback report --formt json`\n\n    chargeback rates chek x\n"

    assert [fault_of(line) for line in lines_of(text)] == [
        "no command rates chek",
        "no command  reprot",
        "report: no option --formt",
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_only_settings_targets_and_log_lines_that_there_are(page):
    text = page.read_text("utf-8")
    elsewhere = "".join(
        file.read_text("utf-8")
        for file in (ROOT / "Makefile", *(ROOT / "infra").glob("*.json"), *(ROOT / "infra").rglob("*.bicep"))
    )
    known = {str(field.alias) for field in Settings.model_fields.values()}
    targets = set(re.search(r"^\.PHONY: (.+)$", elsewhere, re.MULTILINE)[1].split())
    families = {name.partition(".")[0] for name in LOG_EVENTS}
    named = re.findall(r"`([a-z_]+\.[a-z_]+)`", text)
    files = {"md", "py", "json", "kql", "bicep", "xml", "yaml", "csv", "sh", "ps1", "jsonl"}

    assert {name for name in re.findall(r"\bCHARGEBACK_[A-Z_]*[A-Z]", text) if name not in known and name not in elsewhere} == set()  # fmt: skip
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
    assert {name for name in named if name.partition(".")[0] in families and name.partition(".")[2] not in files} <= {*LOG_EVENTS, "consume.status"}  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_only_files_that_there_are(page):
    named = re.findall(
        r"`((?:chargeback|tests|scripts|infra|rates|samples|docs)/[\w./-]+)`", page.read_text("utf-8")
    )
    made = ("rates/rates.yaml", "rates/")  # the operator's own table, and a folder of the ledger

    assert [name for name in named if not name.startswith(made[1]) and not (ROOT / name).exists()] == []


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    linked = set(re.findall(r"\]\(([^)#]+)", index))
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}

    assert {page for page in pages - linked - {"README.md"} if not page.startswith("formats/")} == set()


def test_every_line_of_the_doctor_is_explained():
    text = (
        (ROOT / "docs" / "operations.md")
        .read_text("utf-8")
        .partition("| line of `doctor` |")[2]
        .partition("\n## ")[0]
    )

    assert set(re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)) == {"settings", *CHECKS}


def test_every_issue_form_asks_for_something():
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) > 3
    for form in forms:
        told = yaml.safe_load(form.read_text("utf-8"))
        if form.name != "config.yml":
            assert told["name"]
            assert told["description"]
            assert any(part["type"] != "markdown" for part in told["body"])


# Run


def snippets(page):
    """Commands of the blocks marked `console`, in the order of the page."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [
        line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page)], ids=name_of)
def test_the_console_blocks_of_a_page_run(page, monkeypatch, tmp_path, capsys):
    """In an empty folder with the samples beside it, one after the other."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    for name in ("CHARGEBACK_LEDGER", "CHARGEBACK_RATES", "AzureWebJobsStorage"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    for line in snippets(page):
        monkeypatch.setattr(sys, "argv", ["chargeback", *(words_of(line) or [])])
        code = manners.run(app)

        told = capsys.readouterr()
        wanted = re.search(r"# exit code (\d)", line)
        assert code == (int(wanted[1]) if wanted else 0), f"{line}: {told.err}"
        assert told.out or "--quiet" in line, line
    settings.cache_clear()
