"""The locks, what is deployed, and what no file of the project may name."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PYTHONS = ("3.11", "3.12", "3.13")


def pins(lock):
    """Every requirement of a lock; hashes and comments left out."""
    lines = (line.partition("#")[0].strip(" \\") for line in (ROOT / lock).read_text("utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("--hash")]


def active(requirements, environment):
    """The requirements whose marker holds, by name."""
    return {
        canonicalize_name(requirement.name): requirement
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(environment)
    }


def environment(python):
    return {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "extra": "",
    }


def needed(requirements):
    """Names of what these requirements install here, found in the metadata of what is installed."""
    found, queue = set(), [Requirement(text) for text in requirements]
    while queue:
        requirement = queue.pop()
        here = [{**default_environment(), "extra": extra} for extra in ("", *requirement.extras)]
        if requirement.marker and not any(requirement.marker.evaluate(each) for each in here):
            continue
        found.add(canonicalize_name(requirement.name))
        for text in importlib.metadata.requires(requirement.name) or []:
            child = Requirement(text)
            if child.marker is None or any(child.marker.evaluate(each) for each in here):
                child.marker = None
                if canonicalize_name(child.name) not in found or child.extras:
                    queue.append(child)
    return found


def files():
    """What git has or would take, without asking git, which a source archive does not have."""
    skipped = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text("utf-8").splitlines() if line} | {
        ".git"
    }
    folders = [ROOT]
    while folders:
        for path in folders.pop().iterdir():
            if any(fnmatch(path.name, pattern) for pattern in skipped):
                continue
            if path.is_dir():
                folders.append(path)
            else:
                yield path.relative_to(ROOT)


# Locks


@pytest.mark.parametrize("python", PYTHONS)
def test_deployed_pins_satisfy_the_project_on_every_python(python):
    pinned = active(pins("requirements.txt"), environment(python))
    for text in PROJECT["dependencies"]:
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate(environment(python)):
            version = str(pinned[canonicalize_name(wanted.name)].specifier).removeprefix("==")

            assert wanted.specifier.contains(version), text


@pytest.mark.parametrize("python", PYTHONS)
def test_deployed_versions_are_the_tested_versions(python):
    deployed = active(pins("requirements.txt"), environment(python))
    tested = active(pins("requirements-dev.txt"), environment(python))

    assert {name: pin.specifier for name, pin in deployed.items()} == {
        name: tested[name].specifier for name in deployed
    }


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_gets_one_exact_version_of_a_package(lock, python):
    held = [pin for pin in pins(lock) if pin.marker is None or pin.marker.evaluate(environment(python))]

    assert all(re.fullmatch(r"==[^,*]+", str(pin.specifier)) for pin in held)
    assert [name for name, count in Counter(pin.name for pin in held).items() if count > 1] == []


def test_deployed_is_what_the_worker_needs_and_no_more():
    """`make lock` forgotten after a change of [project.dependencies] shows here, without a network."""
    assert set(active(pins("requirements.txt"), {**default_environment(), "extra": ""})) == needed(
        PROJECT["dependencies"]
    )


def test_nothing_deployed_shadows_the_worker_or_belongs_to_the_command_line():
    """On Python <= 3.12 Azure's worker shares sys.path with the app, so its grpcio and protobuf must be the only ones."""
    never = {"grpcio", "protobuf", "opencensus", "opencensus-ext-azure", "typer", "rich", "pytest"}

    assert never.isdisjoint(pin.name for pin in pins("requirements.txt"))


def test_every_pin_of_the_development_lock_has_a_hash():
    text = (ROOT / "requirements-dev.txt").read_text("utf-8")
    pinned = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]

    assert [pin for pin in pinned if "--hash=sha256:" not in pin] == []


# Deployment


def ignored(path, patterns):
    """Gitignore's rule for the patterns .funcignore keeps to: they hold for any part of the path."""
    return any(
        fnmatch(part, pattern.rstrip("/"))
        for pattern in patterns
        for part in (path.parts[:-1] if pattern.endswith("/") else path.parts)
    )


def test_only_what_runs_is_deployed():
    lines = (ROOT / ".funcignore").read_text("utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    kept = {path for path in files() if not ignored(path, patterns)}

    assert all("/" not in pattern.rstrip("/") and "!" not in pattern for pattern in patterns)
    assert {path for path in files() if path.parts[0] in {"chargeback", "rates"}} <= kept
    assert {path.parts[0] for path in kept} <= {
        "chargeback",
        "rates",
        "function_app.py",
        "host.json",
        "requirements.txt",
        "LICENSE",
    }  # fmt: skip - one line says it


def test_the_wheel_holds_the_whole_package_and_nothing_else(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert packed == {path.as_posix() for path in files() if path.parts[0] == "chargeback"}


# Names


def test_no_file_names_a_package_registry():
    """Everybody installs from the index that is configured where they are."""
    hosts = re.compile(rb"pypi\.(?:org|python)|pythonhosted\.|registry\.(?:npmjs|yarnpkg)\.|npmmirror\.")

    assert [str(path) for path in files() if hosts.search((ROOT / path).read_bytes())] == []


def test_no_lock_file_that_names_its_registry():
    named = {
        "uv.lock",
        "poetry.lock",
        "pdm.lock",
        "Pipfile.lock",
        "package-lock.json",
        "yarn.lock",
        "pnpm-lock.yaml",
    }

    assert [str(path) for path in files() if path.name in named or fnmatch(path.name, "pylock*.toml")] == []


def test_make_alone_names_every_target():
    text = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)[1].split())
    printed = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert {line.split()[1] for line in printed.splitlines()} == targets


# What users install


def test_the_version_comes_from_one_place():
    import chargeback

    assert PROJECT["dynamic"] == ["version"]
    assert importlib.metadata.version(PROJECT["name"]) == chargeback.__version__


def test_the_readme_gives_a_reason_for_every_package_and_a_use_for_every_extra():
    text = (ROOT / "README.md").read_text("utf-8").partition("## Packages")[2]

    named = {Requirement(each).name.lower() for each in PROJECT["dependencies"]}
    assert {name for name in named if name not in text.lower()} == set()
    assert {extra for extra in PROJECT["optional-dependencies"] if f"`{extra}`" not in text} == set()


def test_the_wheel_alone_bills_counts_and_reports(tmp_path):
    """Unpacked where nothing of the sources is in reach; `make wheel` does the same with pip and a new environment."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "alone")
        [scripts] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        assert "chargeback = chargeback.cli:main" in wheel.read(scripts).decode()
    samples = str(ROOT / "samples")
    code = f"""
import sys
sys.path[:0] = [{str(tmp_path / "alone")!r}, *{[path for path in sys.path if path.endswith("site-packages")]!r}]
import chargeback
assert chargeback.__file__.startswith({str(tmp_path)!r}), chargeback.__file__
from chargeback.cli.commands import app
from chargeback.cli.manners import run
for words in (
    ["replay", {samples!r} + "/events/f2.jsonl", "--rates", {samples!r} + "/rates.yaml", "--ledger", "./ledger"],
    ["report", "--ledger", "./ledger", "--html", "bill.html"],
    ["rates", "schema"],
):
    sys.argv = ["chargeback", *words]
    assert run(app) == 0, words
"""
    # Neither the environment's .pth files (-S) nor the current folder (-I): the editable install stays out.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "estimated" in done.stdout
    assert (tmp_path / "bill.html").stat().st_size > 10_000
