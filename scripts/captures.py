"""Write the golden files of captures that have none; with --force, anew for all. Read the diff before you commit it.

python scripts/captures.py [--force]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.golden import cases, charges, expectation


def main() -> int:
    force = "--force" in sys.argv[1:]
    kept = 0
    for case in cases():
        file = expectation(case)
        text = charges(case)
        if file.exists() and file.read_text("utf-8") == text:
            continue
        if file.exists() and not force:
            print(
                f"{file.name}: differs and was not overwritten; look at it, then use --force", file=sys.stderr
            )
            kept += 1
            continue
        file.write_text(text, "utf-8")
        print(f"{file.name}: written")
    return 1 if kept else 0


if __name__ == "__main__":
    sys.exit(main())
