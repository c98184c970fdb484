"""The hosts' figures: end to end, Functions, memory and start-up, each with real processes on loopback.

    python bench/speed_hosts.py [--json] [--figure 8|9|memory|start] [--rounds 7]

Also a group of ``speed.py``. Traffic: ``hosts/hub_traffic.py``. Broker, Azurite, ingestion endpoint, the SDK's
bare drain and every consumer are processes of their own; on a machine with two cores they share them.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
AZURITE = HERE.parent / "build" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
os.environ.setdefault("CHARGEBACK_AZURITE", str(AZURITE))
sys.path[:0] = [str(HERE), str(HERE.parent)]

from hosts import end_to_end, functions, memory, start_up
from measure import Figure, Options
from speed import report

FIGURES = {
    "8": end_to_end.figures,
    "9": functions.figures,
    "memory": memory.figures,
    "start": start_up.figures,
}


def figures(options: Options) -> Iterator[Figure]:
    for made in FIGURES.values():
        yield from made(options)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array and nothing else")
    parser.add_argument("--figure", choices=FIGURES, help="only this one")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    options = Options(rounds=args.rounds)
    chosen = [made for name, made in FIGURES.items() if args.figure in (None, name)]
    return report((figure for made in chosen for figure in made(options)), as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
