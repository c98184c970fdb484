"""Say what was checked about infra/policies, and run the tests of it: what `make policies` prints.

python scripts/policies.py [arguments of pytest]
"""

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import pytest

from tests.policies.gateway import Gateway, PolicyError, missing, read_policies
from tests.policies.scenarios import scenario
from tests.policies.test_policy_events import CALLS
from tests.policies.test_policy_faults import FAULTS


def main() -> int:
    if problem := missing():
        print(problem)
        return 1
    try:
        gateway = Gateway.of()
    except PolicyError as error:
        print(error)
        return 1
    counts = Counter(Path(each.file).stem for each in gateway.expressions)
    print("Policies and fragments: well-formed XML, every expression compiled as C# 7")
    for name, text in read_policies().items():
        print(f"  {name:<32} {counts[name]:>3} expressions {len(text.encode()):>6} bytes")
    types = {line.split()[1] for line in gateway.references() if line.startswith("type ")}
    problems = gateway.forbidden()
    print(f"Types they use: {len(types)}, not allowed: {', '.join(problems) or 'none'}")
    print("Calls through the policy, and what it sends to the hub")
    results = gateway.run(scenario(call, policy) for call, policy, _ in CALLS.values())
    for name, result in zip(CALLS, results, strict=True):
        kinds = Counter(event["kind"] for event in result.events)
        sizes = ", ".join(f"{kind} x {count}" for kind, count in kinds.items())
        print(f"  {name:<40} {sizes:<12} largest {max(map(len, result.bodies)):>7,} bytes")
    print(f"Planted below, each to be caught by its check: {len(FAULTS)} faults")
    for name, fault in FAULTS.items():
        print(f"  {name:<46} in {fault[0]}")
    sys.stdout.flush()
    return pytest.main(["-q", "tests/policies", *sys.argv[1:]]) or bool(problems)


if __name__ == "__main__":
    raise SystemExit(main())
