"""Build wheel and sdist into dist/, then try the wheel in an environment of its own: as a user would.

python scripts/wheel.py        (make wheel; asks the package index that pip is configured with)
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"

SMOKE = (
    ("--version",),
    ("rates", "check", str(ROOT / "samples" / "rates.yaml")),
    ("replay", str(ROOT / "samples" / "events" / "v1.jsonl"), "--rates", str(ROOT / "samples" / "rates.yaml"), "--ledger", "ledger"),
    ("report", "--ledger", "ledger", "--html", "bill.html", "--focus", "focus.csv"),
    ("statements", "2026-11", "--ledger", "ledger", "--out", "statements"),
    ("replay", str(ROOT / "samples" / "events" / "f2.jsonl"), "--rates", str(ROOT / "samples" / "rates.yaml")),
)  # fmt: skip
"""What a first hour needs; the last one counts tokens with the vocabulary of the package."""


def main() -> int:
    for old in (*DIST.glob("*.whl"), *DIST.glob("*.tar.gz")):
        old.unlink()
    run([sys.executable, "-m", "hatchling", "build", "-d", str(DIST)], cwd=ROOT)
    [wheel], [sdist] = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        tried(wheel, Path(folder))
    for made in (wheel, sdist):
        print(f"{made.relative_to(ROOT)}: {made.stat().st_size:,} bytes")
    print(
        f"{len(SMOKE)} commands of the installed wheel are good, and its schema of the rate table is the published one"
    )
    return 0


def tried(wheel: Path, folder: Path) -> None:
    """Install the wheel with its command line, and run the commands where nothing of the sources is in reach."""
    venv.create(folder / "venv", with_pip=True)
    binaries = folder / "venv" / "bin"
    run(
        [
            str(binaries / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--progress-bar",
            "off",
            f"{wheel}[cli]",
        ],
        cwd=folder,
    )
    schema = run([str(binaries / "chargeback"), "rates", "schema"], cwd=folder, quiet=True)
    if schema != (ROOT / "docs" / "schemas" / "rates.json").read_text("utf-8"):
        sys.exit("wheel: `chargeback rates schema` is not docs/schemas/rates.json")
    for words in SMOKE:
        run([str(binaries / "chargeback"), *words], cwd=folder, quiet=True)


def run(command: list[str], *, cwd: Path, quiet: bool = False) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=quiet, check=False, text=True)  # noqa: S603 - our own words
    if done.returncode:
        if quiet:
            sys.stderr.write(done.stdout + done.stderr)
        sys.exit(f"wheel: `{shutil.which(command[0]) or command[0]} {' '.join(command[1:])}` failed")
    return done.stdout or ""


if __name__ == "__main__":
    raise SystemExit(main())
