"""Which files are published, by gitignore's rules, and that they bring what they need. `make package` goes the whole way."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts import package
from tests.house.test_deployed import GUARD, refused

ROOT = Path(__file__).parents[2]
VOCABULARY = {path.relative_to(ROOT).as_posix() for path in (ROOT / "chargeback/tokens/vocabulary").iterdir()}

TREE = (
    "a.txt",
    "b.log",
    "keep.log",
    "docs/a.md",
    "docs/deep/b.md",
    "docs",
    "src/docs/c.md",
    "src/build/out.o",
    "build/x",
    "src/only.txt",
    "only.txt",
    "x/one/y.c",
    "x/y.c",
    "x/one/two/y.c",
    "[odd].txt",
    "d1.txt",
    "#hash",
    "!bang",
    "with space ",
)  # fmt: skip - a list of words


@pytest.mark.parametrize(
    "lines",
    [
        ["*.log", "!keep.log"],
        ["docs/"],
        ["docs"],
        ["/build"],
        ["build/"],
        ["src/build"],
        ["/only.txt"],
        ["**/docs"],
        ["x/**/y.c"],
        ["x/**"],
        ["x/*/y.c"],
        ["d?.txt", "[ab].*"],
        ["[!a].txt"],
        ["\\#hash", "\\!bang"],
        ["# a remark", "", "a.txt   "],
        ["with space\\ "],
        ["x/*", "!x/one"],
        ["*", "!*.c", "!x/"],
    ],
    ids=" ".join,
)
def test_an_ignore_file_is_read_as_git_reads_it(lines, tmp_path):
    if not shutil.which("git"):
        pytest.skip("git is what this is compared with")
    names = [name for name in TREE if not any(other.startswith(f"{name}/") for other in TREE)]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".funcignore").write_text("\n".join([*lines, ".funcignore"]) + "\n")

    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True, env=environment)
    command = ["git", "ls-files", "-z", "--others", "--exclude-from=.funcignore"]
    told = subprocess.run(
        command, cwd=tmp_path, check=True, capture_output=True, text=True, env=environment
    ).stdout
    assert sorted(package.files(tmp_path, ".funcignore")) == sorted(filter(None, told.split("\0")))


def test_what_is_published_is_the_app_its_vocabulary_and_nothing_else():
    names = set(package.published())

    assert {"function_app.py", "host.json", "requirements.txt"} | VOCABULARY <= names
    assert {name.partition("/")[0] for name in names} <= {
        "LICENSE",
        "chargeback",
        "function_app.py",
        "host.json",
        "rates",
        "requirements.txt",
    }  # fmt: skip - a list of words
    assert not [name for name in names if "settings.json" in name or name.endswith((".pyc", ".env"))]


def test_the_published_files_alone_make_an_app_that_counts_tokens(tmp_path):
    for name in package.published():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    code = GUARD.format(refused=refused(), root=str(tmp_path)) + (
        "import function_app, chargeback\n"
        "from chargeback import tokens, wiring, worker\n"
        "assert tokens.count_text('deployed', 'o200k_base') > 0\n"
        "print(chargeback.__file__, *(each.get_function_name() for each in function_app.app.get_functions()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert done.returncode == 0, done.stderr
    place, *functions = done.stdout.split()
    assert Path(place).is_relative_to(tmp_path)
    assert functions == ["bill_usage", "settle"]


def test_the_upload_stays_small_and_is_the_same_whenever_it_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(package, "ZIP", tmp_path / "functions.zip")
    names = package.published()
    package._zip(ROOT, names)
    first = package.ZIP.read_bytes()
    os.utime(ROOT / "host.json")
    package._zip(ROOT, names)

    assert package.ZIP.read_bytes() == first
    assert len(first) < 5_000_000
    with zipfile.ZipFile(package.ZIP) as archive:
        assert archive.namelist() == names


def test_a_local_secret_is_never_published(tmp_path):
    for name in (".funcignore", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".azure" / "prod").mkdir(parents=True)
    for name in (
        "local.settings.json",
        ".env",
        ".azure/prod/.env",
        ".azure/prod/config.json",
        "function_app.py",
    ):
        (tmp_path / name).touch()

    assert package.published(tmp_path) == ["function_app.py"]
    (tmp_path / ".gitignore").write_text("")
    assert package.published(tmp_path) == ["function_app.py"], "func reads .funcignore only"


def test_azures_python_gets_exact_versions_of_what_the_project_needs():
    text = (ROOT / "requirements.txt").read_text("utf-8")
    wanted = package.pins(text, package.azure())

    assert all(str(each.specifier).startswith("==") for each in wanted.values())
    assert {"azure-functions-runtime", "azure-storage-blob", "tiktoken"} <= wanted.keys()
    assert str(wanted["azure-functions"].specifier).startswith("==2."), "Python 3.13 needs the second line"
