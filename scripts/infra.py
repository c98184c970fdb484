"""Say what was checked about infra/, run checkov and the tests of it: what `make infra` prints.

python scripts/infra.py [arguments of pytest]
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import pytest

from tests.infra.bicep import INFRA, ROOT, missing, read
from tests.infra.checks import CHECKS, ROLES, SKIPS
from tests.infra.faults import FAULTS

CHECKOV = ROOT / "build" / "infra-tools" / "bin" / "checkov"


def main() -> int:
    if problem := missing():
        print(problem)
        return 1
    bicep = read()
    kinds = Counter(each.kind for each in bicep.resources())
    print(f"Bicep: {len(bicep.files)} files, {kinds.total()} resources of {len(kinds)} types")
    failed = 0
    for name, check in CHECKS.items():
        found = list(check(bicep))
        failed += len(found)
        print(f"  {'ok ' if not found else 'BAD'} {name}")
        for fault in found:
            print(f"      {fault}")
    print(f"Planted below, each to be found by the check that is there for it: {len(FAULTS)} faults in")
    for file, count in Counter(file for file, *_ in FAULTS).items():
        print(f"  {file:<24} {count}")
    print(f"  app/roles.bicep          each of the {len(ROLES)} roles left out")
    failed += checkov()
    sys.stdout.flush()
    return pytest.main(["-q", "tests/infra", *sys.argv[1:]]) or bool(failed)


def checkov() -> int:
    """Run checkov; a file it cannot parse it skips without a word, so that is a fault, too."""
    command = [str(CHECKOV), "-d", str(INFRA), "--framework", "bicep", "--skip-download"]
    done = subprocess.run([*command, "--compact", "-o", "json"], capture_output=True, text=True, check=False)  # noqa: S603 - our own tool and path
    try:
        told = json.loads(done.stdout)
    except ValueError:
        print(f"checkov: no result: {(done.stdout + done.stderr)[-500:]}")
        return 1
    summary, failures = told["summary"], told["results"]["failed_checks"]
    hit = {each["check_id"] for each in failures}
    bad = [each for each in failures if each["check_id"] not in SKIPS]
    print(
        f"checkov {summary['checkov_version']}: {summary['resource_count']} resources, {summary['passed']} passed, "
        f"{summary['parsing_errors']} files not parsed, skipped for a reason:"
    )
    for name in sorted(hit & SKIPS.keys()):
        print(f"  {name} {SKIPS[name]}")
    for each in bad:
        print(f"  BAD {each['check_id']} {each['check_name']}: {each['resource']} in {each['file_path']}")
    stale = sorted(SKIPS.keys() - hit)
    if stale:
        print(f"  BAD skips that nothing needs: {', '.join(stale)}")
    return len(bad) + len(stale) + summary["parsing_errors"]


if __name__ == "__main__":
    raise SystemExit(main())
