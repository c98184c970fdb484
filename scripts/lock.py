"""Renew both locks from pyproject.toml: ``make lock``; newer versions of everything: ``make lock UPGRADE=1``.

requirements-dev.txt  all a developer needs (extra ``dev``), with hashes; ``make`` installs nothing else
requirements.txt      the deployed part of the same resolution

Both hold for Python 3.11 to 3.13 on every platform, by markers. uv resolves; pip installs.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEV_LOCK = "requirements-dev.txt"
DEPLOYED = "requirements.txt"
HEADERS = {
    DEV_LOCK: """\
# Written by `make lock` from pyproject.toml; change that file, not this one.
# Everything for work on the project, with hashes: pip refuses what differs. No index is named: yours is used.
""",
    DEPLOYED: """\
# Written by `make lock` from pyproject.toml; change that file, not this one.
# What the function app is deployed with: a part of requirements-dev.txt, the same versions.
# Without hashes, because the remote build may install from your own package feed, whose wheels may be rebuilt.
""",
}


def compile_lock(output: str, *options: str) -> None:
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version=3.11",
    ]
    command += [
        "--no-header",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--annotation-style=line",
        *options,
    ]
    # uv reads the file it is about to write: versions stay as they are unless pyproject.toml forbids them.
    subprocess.run([*command, f"--output-file={output}", "pyproject.toml"], cwd=ROOT, check=True)  # noqa: S603 - fixed words and what make passes
    lock = ROOT / output
    pins = lock.read_text("utf-8")
    if "://" in pins:
        raise SystemExit(f"{output} names a URL: a lock here names packages only, so that any index will do")
    for constraint in (f"-c {DEV_LOCK}, ", f", -c {DEV_LOCK}"):  # true of every line, so it says nothing
        pins = pins.replace(constraint, "")
    lock.write_text(HEADERS[output] + pins, "utf-8")


def main() -> None:
    compile_lock(DEV_LOCK, "--extra=dev", "--generate-hashes", *sys.argv[1:])
    compile_lock(DEPLOYED, f"--constraint={DEV_LOCK}")


if __name__ == "__main__":
    main()
