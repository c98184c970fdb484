"""``make chaos``: the whole worker under fire, with figures; exit code 1 when a promise broke or a count is short.

SEED repeats a run's traffic and order of faults. BREAK=dedupe|watermark|commit|confirm switches one guard off in
the consumers' processes: the run must then fail, which shows that the checks would see it.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import azurite, chaos
from tests.support.chaos_worker import BREAKS


def main() -> int:
    """Run one plan and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or 1))
    parser.add_argument("--break", dest="broken", choices=["", *BREAKS], default=os.environ.get("BREAK", ""))
    parser.add_argument("--short", action="store_true", help="a minute of it")
    options = parser.parse_args()
    script = Path(os.environ.get("CHARGEBACK_AZURITE") or azurite.SCRIPT)
    if not script.exists():
        print(f"make chaos needs Azurite: {script} is not there (make azurite installs it with npm)")
        return 2
    plan = chaos.Plan(seed=options.seed, broken=options.broken)
    if options.short:
        plan = chaos.short(options.seed, options.broken)
    elif options.broken:
        plan = chaos.unguarded(options.seed, options.broken)
    print(
        f"chaos: seed {plan.seed}, {plan.events} events{', without ' + plan.broken if plan.broken else ''}",
        flush=True,
    )
    report = chaos.run(plan, say=lambda line: print(f"  {line}", flush=True))
    print("\n".join(report.lines()))
    print("FAILED" if report.problems else "nothing lost, nothing twice")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
