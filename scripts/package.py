"""``make package``: what `func azure functionapp publish` would upload, proved to run with its own packages alone.

    checkout ──.funcignore──> build/package/app ──> dist/functions.zip
    requirements.txt ──> a fresh environment ──> import function_app, count tokens, index the functions

Azure installs the packages itself (remote build), so the upload is the app alone. The release uses the same zip.
"""

import json
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "package"
ZIP = ROOT / "dist" / "functions.zip"
AZURE_PYTHON = "3.13"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""Flex Consumption is Linux on x86; which of them pip names a wheel by is its builder's choice."""
NEVER = (
    "typer",
    "rich",
    "duckdb",
    "fastavro",
    "aiohttp",
    "pytest",
    "hypothesis",
    "tests",
    "scripts",
    "opencensus",
)
"""Modules of the command line, the other host and of development: none of them may be there."""

_PROBE = f"""
import importlib.util, json, sys, time
sys.path.insert(0, sys.argv[1])
start = time.perf_counter()
import function_app
imported = time.perf_counter() - start
functions = [each.get_function_name() for each in function_app.app.get_functions()]
start = time.perf_counter()
from chargeback import tokens, wiring, worker, rate_tables
from chargeback.sinks import application_insights, envelopes
from chargeback.journal import blob, local
from chargeback.rates import load
counted = tokens.count_text("deployed", "o200k_base")
wired = time.perf_counter() - start
strangers = [name for name in {NEVER!r} if importlib.util.find_spec(name)]
print(json.dumps(dict(imported=imported, wired=wired, functions=functions, counted=counted, strangers=strangers)))
"""


# ---- which files


@dataclass(frozen=True)
class Rule:
    """One line of an ignore file, as git reads it."""

    pattern: re.Pattern[str]
    folders_only: bool
    keeps: bool


def rules(text: str) -> list[Rule]:
    found: list[Rule] = []
    for line in text.splitlines():
        line = re.sub(r"(?<!\\) +$", "", line)  # noqa: PLW2901 - the line that counts
        if not line or line.startswith("#"):
            continue
        keeps, line = line.startswith("!"), line.removeprefix("!")  # noqa: PLW2901 - the line that counts
        body = line.rstrip("/")
        # A slash inside ties the pattern to the top; without one it holds in every folder.
        head = "" if "/" in body else "(?:.*/)?"
        found.append(Rule(re.compile(head + _expression(body.removeprefix("/"))), line.endswith("/"), keeps))
    return found


_GLOB = re.compile(
    r"(?P<any>(?:^|(?<=/))\*\*/)|(?P<all>(?<=/)\*\*$)|(?P<some>\*+)|(?P<one>\?)|(?P<set>\[!?\]?[^\]]*\])|\\(?P<this>.)"
)


def _expression(glob: str) -> str:
    """Translate a glob; what is no sign of one stands for itself."""
    parts: list[str] = []
    place = 0
    for sign in _GLOB.finditer(glob):
        parts.append(re.escape(glob[place : sign.start()]))
        place = sign.end()
        given = sign[sign.lastgroup or 0]
        plain = {"any": "(?:.*/)?", "all": ".+", "some": "[^/]*", "one": "[^/]"}
        if sign.lastgroup == "set":
            parts.append(given.replace("[!", "[^", 1))
        else:
            parts.append(plain.get(sign.lastgroup or "") or re.escape(given))
    return "".join(parts) + re.escape(glob[place:])


def ignored(path: str, found: Iterable[Rule], *, folder: bool = False) -> bool:
    """Say if the last rule that fits ignores this path. Its folders are asked before it: see ``files``."""
    last = [rule for rule in found if (folder or not rule.folders_only) and rule.pattern.fullmatch(path)][-1:]
    return bool(last) and not last[0].keeps


def files(root: Path, *ignore_files: str) -> Iterator[str]:
    """Yield paths below ``root`` that no ignore file ignores; a folder that is ignored is not entered."""
    told = [rules((root / name).read_text("utf-8")) for name in ignore_files]
    folders = [root]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            name, is_folder = path.relative_to(root).as_posix(), path.is_dir() and not path.is_symlink()
            if name == ".git" or any(ignored(name, found, folder=is_folder) for found in told):
                continue
            if is_folder:
                folders.append(path)
            else:
                yield name


def published(root: Path = ROOT) -> list[str]:
    """Return the paths that are uploaded from a clean checkout of ``root``."""
    return sorted(files(root, ".gitignore", ".funcignore"))


# ---- which packages


def pins(text: str, environment: Mapping[str, str]) -> dict[str, Requirement]:
    """Return the requirements that hold in ``environment``, by normal name."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    wanted = [Requirement(line) for line in lines if line]
    return {
        canonicalize_name(each.name): each
        for each in wanted
        if each.marker is None or each.marker.evaluate(environment)
    }


def here() -> dict[str, str]:
    return {name: str(value) for name, value in default_environment().items()}


def azure() -> Mapping[str, str]:
    """Return the markers' environment of the deployed app."""
    told = here()
    told.update(python_version=AZURE_PYTHON, python_full_version=f"{AZURE_PYTHON}.0")
    told.update(sys_platform="linux", platform_system="Linux", platform_machine="x86_64", os_name="posix")
    return told


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# ---- doing it


def main() -> int:
    shutil.rmtree(BUILD, ignore_errors=True)
    app = BUILD / "app"
    names = published()
    for name in names:
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, app / name)
    _zip(app, names)
    tops = sorted({name.partition("/")[0] for name in names})
    print(
        f"Uploaded: {len(names)} files, {_mb(size_of(app))}, zipped {_mb(ZIP.stat().st_size)}: {', '.join(tops)}"
    )
    problems = [f"{name} is not in the package" for name in _lacking(names)]
    told, installed = _installed(app)
    problems += _differences(app, installed)
    print(
        f"import function_app: {told['imported'] * 1000:.0f} ms; with everything it wires: {told['wired']:.1f} s more"
    )
    print(f"Functions: {', '.join(told['functions'])}; vocabulary: 'deployed' is {told['counted']} token(s)")
    problems += [f"{name} can be imported" for name in told["strangers"]]
    _for_azure(app)
    for problem in problems:
        print(f"BAD {problem}")
    print(f"Written: {ZIP.relative_to(ROOT)}")
    return len(problems)


def _lacking(names: list[str]) -> list[str]:
    wanted = ["function_app.py", "host.json", "requirements.txt"]
    vocabulary = (ROOT / "chargeback" / "tokens" / "vocabulary").iterdir()
    wanted += [path.relative_to(ROOT).as_posix() for path in vocabulary if path.is_file()]
    return sorted(set(wanted) - set(names))


def _zip(app: Path, names: list[str]) -> None:
    """Write the archive; the same files make the same bytes, whenever they were checked out."""
    ZIP.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(ZIP, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, (app / name).read_bytes())


def _installed(app: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Install requirements.txt and nothing else, and import the app with it."""
    environment, start = BUILD / "environment", time.monotonic()
    _run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    python = str(environment / "bin" / "python")
    _run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--requirement",
        str(app / "requirements.txt"),
    )
    took = time.monotonic() - start
    listed = json.loads(_run(sys.executable, "-m", "pip", "--python", python, "list", "--format", "json"))
    version = "{}.{}".format(*sys.version_info[:2])
    size = size_of(environment / "lib" / f"python{version}" / "site-packages")
    print(f"Installed here: {len(listed)} packages, {_mb(size)}, Python {version}, in {took:.0f} s")
    told = json.loads(_run(python, "-I", "-c", _PROBE, str(app)))
    return told, {canonicalize_name(each["name"]): each["version"] for each in listed}


def _differences(app: Path, installed: dict[str, str]) -> Iterator[str]:
    wanted = pins((app / "requirements.txt").read_text("utf-8"), here())
    yield from (
        f"{name} was installed though requirements.txt does not name it" for name in installed.keys() - wanted
    )
    yield from (f"{name} is named and was not installed" for name in wanted.keys() - installed.keys())
    for name in installed.keys() & wanted:
        if not wanted[name].specifier.contains(installed[name]):
            yield f"{name} {installed[name]} is not {wanted[name]}"


def _for_azure(app: Path) -> None:
    """Fetch what Azure's Python would install; a package without a wheel for it would have to be built there."""
    wanted = pins((app / "requirements.txt").read_text("utf-8"), azure())
    target = BUILD / "azure"
    options = [
        "--python-version",
        AZURE_PYTHON,
        "--only-binary",
        ":all:",
        "--no-deps",
        "--ignore-requires-python",
        "--target",
        str(target),
    ]
    options += [word for name in PLATFORMS for word in ("--platform", name)]
    lines = [f"{each.name}{each.specifier}" for each in wanted.values()]
    try:
        _run(sys.executable, "-m", "pip", "install", "--quiet", *options, *lines)
    except subprocess.CalledProcessError as error:
        print(
            f"For Azure (Linux, Python {AZURE_PYTHON}): not every wheel is to be had here: {error.stderr.strip().splitlines()[-1]}"
        )
        return
    print(
        f"For Azure (Linux, Python {AZURE_PYTHON}): {len(wanted)} packages, all as wheels, {_mb(size_of(target))}"
    )


def _run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own commands


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


if __name__ == "__main__":
    raise SystemExit(main())
