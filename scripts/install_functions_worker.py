"""Fetch Microsoft's real Functions worker library into ``build/functions-worker`` for the tests.

Two wheels, pinned by version and hash, none of them installed into the project's environment:

runtime/  azure-functions-runtime: indexing, decoding, thread pool. It declares Python >= 3.13 because Azure
          runs it only there; it is pure Python and runs on 3.11 too, so pip is told to ignore that line.
protos/   the generated FunctionRpc message classes. Microsoft ships them in one place only, the folder
          ``tests/protos`` of azure-functions-runtime-v1. Installing that wheel would add a top-level package
          ``tests``, so it is downloaded and only this folder is unzipped.

Run it with any Python that has pip: ``python scripts/install_functions_worker.py``. Done once, it does nothing.
"""

import compileall
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WORKER_DIR = Path(__file__).resolve().parents[1] / "build" / "functions-worker"
RUNTIME = WORKER_DIR / "runtime"
PROTOS = WORKER_DIR / "protos"

_WHEELS = {
    "azure-functions-runtime==1.3.0": "5045cf1e1a9a33ff262043eb52cf976834d2f2b6c67c20da61588fe7dc2fcf64",
    "azure-functions-runtime-v1==1.2.0": "6ae0abb681e28c61a404b52e1c4481f203bb113e5027fbe908989ea9585a02a0",
}
_PROTOS_IN_WHEEL = "tests/protos/"
_NEEDED = (
    RUNTIME / "azure_functions_runtime" / "__init__.py",
    RUNTIME / "azure_functions_runtime-1.3.0.dist-info" / "METADATA",
    PROTOS / "FunctionRpc_pb2.py",
    PROTOS / "shared" / "NullableTypes_pb2.py",
)
# Written last, so a folder without it, or with other versions in it, is an unfinished or an old one.
_MARKER = WORKER_DIR / "installed.json"


def missing() -> str | None:
    """Say in one sentence why the worker library cannot be used, or None when it can."""
    remedy = "run `make functions-worker` (or scripts/install_functions_worker.py)"
    try:
        installed = json.loads(_MARKER.read_text("utf-8"))
    except (OSError, ValueError):
        return f"the Functions worker library is not installed: {remedy}"
    if installed != _WHEELS:
        return f"the Functions worker library has other versions than {', '.join(_WHEELS)}: {remedy}"
    absent = [path.name for path in _NEEDED if not path.is_file()]
    if absent:
        return f"the Functions worker library lacks {', '.join(absent)}: {remedy}"
    return None


def install() -> None:
    """Download both wheels with pip, as pip is configured here, and unpack what the tests use."""
    _MARKER.unlink(missing_ok=True)
    shutil.rmtree(WORKER_DIR, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheels = _download(Path(scratch))
        # A wheel without scripts or data files installs by unzipping; pip's --target does no more.
        _unzip(wheels["azure_functions_runtime"], RUNTIME)
        _unzip(wheels["azure_functions_runtime_v1"], PROTOS, below=_PROTOS_IN_WHEEL)
    compileall.compile_dir(
        WORKER_DIR, quiet=2
    )  # each test app starts a process; compiling costs more than running
    _MARKER.write_text(json.dumps(_WHEELS, indent=2) + "\n", "utf-8")


def _download(folder: Path) -> dict[str, Path]:
    """Return the wheels by normalised project name; pip checks version and hash."""
    wanted = folder / "wanted.txt"
    wanted.write_text(
        "".join(f"{name} --hash=sha256:{digest}\n" for name, digest in _WHEELS.items()), "utf-8"
    )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--ignore-requires-python", "--only-binary=:all:", "--require-hashes"]
    subprocess.run([*command, "--dest", str(folder), "--requirement", str(wanted)], check=True)  # noqa: S603 - fixed words and our own paths
    return {wheel.name.split("-", 1)[0]: wheel for wheel in folder.glob("*.whl")}


def _unzip(wheel: Path, target: Path, below: str = "") -> None:
    """Unpack the wheel's files under ``below`` into ``target``."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if entry.filename.startswith(below) and not entry.is_dir():
                entry.filename = entry.filename.removeprefix(below)
                archive.extract(entry, target)


def main() -> int:
    """Install unless it is done; one line either way."""
    if missing() is None:
        return 0
    try:
        install()
    except subprocess.CalledProcessError as error:
        print(f"The Functions worker library could not be downloaded (pip exit code {error.returncode}).")
        return 1
    if problem := missing():
        print(problem)
        return 1
    print(f"Functions worker library: {', '.join(_WHEELS)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
