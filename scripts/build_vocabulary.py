"""Rebuild chargeback/tokens/vocabulary from the npm package that publishes the ranks.

Run it by hand: ``python scripts/build_vocabulary.py [--check]``. It asks the ``npm`` client for
one pinned package, turns its rank lists into .tiktoken files, refuses anything whose SHA-256 is
not the one below, and writes gzip files whose bytes depend on the content alone. ``--check``
writes nothing and tells whether the packaged files hold the same ranks.
"""

import argparse
import gzip
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "tiktoken@1.0.22"
PACKAGE_SHA256 = "55c339e756fdb17604f7c7e3eb35d2bcbffe4d960e8096e50285d1cefa51dd90"
# The same values tiktoken.load expects of its own downloads (tiktoken_ext/openai_public.py).
RANKS_SHA256 = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
TARGET = Path(__file__).resolve().parent.parent / "chargeback" / "tokens" / "vocabulary"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = packed(Path(folder))
        with tarfile.open(archive) as tar:
            ranks = {name: rank_file(tar, name) for name in RANKS_SHA256}
    if options.check:
        return compare(ranks)
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, content in ranks.items():
        path = TARGET / f"{name}.tiktoken.gz"
        path.write_bytes(gzip.compress(content, compresslevel=9, mtime=0))
        print(f"{path.name}: {path.stat().st_size} bytes, sha256 {sha256(path.read_bytes())}")
    return 0


def packed(folder: Path) -> Path:
    """Return the package as the npm client delivers it, after checking its digest."""
    command = ["npm", "pack", PACKAGE, "--silent", "--pack-destination", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - fixed words only
    (archive,) = folder.glob("*.tgz")
    verify(PACKAGE, archive.read_bytes(), PACKAGE_SHA256)
    return archive


def rank_file(tar: tarfile.TarFile, name: str) -> bytes:
    """Return the .tiktoken file of one encoding: a line a rank, base64 of the bytes and the rank.

    The package keeps lines ``! OFFSET WORD WORD ...``: the words have the ranks OFFSET,
    OFFSET + 1 and so on.
    """
    member = tar.extractfile(f"package/encoders/{name}.json")
    if member is None:
        raise SystemExit(f"{PACKAGE} has no encoders/{name}.json: pin a version that carries the ranks")
    ranks: list[tuple[int, str]] = []
    for line in json.load(member)["bpe_ranks"].splitlines():
        _, offset, *words = line.split(" ")
        ranks.extend((int(offset) + index, word) for index, word in enumerate(words))
    content = "".join(f"{word} {rank}\n" for rank, word in sorted(ranks)).encode()
    verify(name, content, RANKS_SHA256[name])
    return content


def compare(ranks: dict[str, bytes]) -> int:
    status = 0
    for name, content in ranks.items():
        same = gzip.decompress((TARGET / f"{name}.tiktoken.gz").read_bytes()) == content
        print(f"{name}: {'same ranks' if same else 'DIFFERENT: run this script without --check'}")
        status |= not same
    return status


def verify(what: str, content: bytes, expected: str) -> None:
    found = sha256(content)
    if found != expected:
        raise SystemExit(f"{what}: sha256 is {found}, expected {expected}; nothing was written")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
