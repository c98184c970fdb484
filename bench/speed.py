"""How fast this is: every figure beside its floor and the alternatives, measured in one run.

    python bench/speed.py [--json] [--only "NAME;..."] [--group core,hosts,reports] [--rounds 9]
    python bench/speed.py --markdown docs/performance.md     (writes the tables between their markers)

Each group is a module with ``figures(options)``; ``docs/performance.md`` has the method.
"""

import argparse
import importlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from measure import ROUNDS, Figure, Options

GROUPS = {"core": "speed_core", "hosts": "speed_hosts", "reports": "speed_reports"}
"""Name of a group -> its module. Markers of docs/performance.md: ``<!-- bench:core -->``."""


def measured(groups: Iterable[str], options: Options, markdown: Path | None = None) -> Iterator[Figure]:
    """Yield the groups' figures; a group's table is written when its last figure is there."""
    for group in groups:
        figures: list[Figure] = []
        for figure in importlib.import_module(GROUPS[group]).figures(options):
            figures.append(figure)
            yield figure
        if markdown and figures:
            write_between_markers(markdown, group, as_table(figures))


def report(figures: Iterable[Figure], *, as_json: bool) -> int:
    """Print each figure as it comes, or all as one JSON array; return 1 if a check misses, else 0."""
    found: list[Figure] = []
    for figure in figures:
        found.append(figure)
        if not as_json:
            print(as_text(figure), flush=True)
    if as_json:
        print(json.dumps([figure.as_json() for figure in found], indent=1))
    return int(any(check.verdict == "misses" for figure in found for check in figure.checks))


def as_text(figure: Figure) -> str:
    lines = [f"{figure.name}: {figure.ours:,.4g} {figure.unit}  ({figure.what})"]
    lines += [f"    {name}: {_number(value)}" for name, value in figure.others.items()]
    lines += [
        f"    {check.what}: {_number(check.value)}, {check.bound} {check.limit:g}: {check.verdict}"
        for check in figure.checks
    ]
    return "\n".join([*lines, f"    {figure.note}"] if figure.note else lines)


def as_table(figures: Iterable[Figure]) -> str:
    rows = ["| figure | ours | beside it, in the same run | must hold |", "|---|---|---|---|"]
    for figure in figures:
        others = "<br>".join(f"{name} {_number(value)}" for name, value in figure.others.items())
        checks = "<br>".join(
            f"{check.what} **{_number(check.value)}**, {check.bound} {check.limit:g}: {check.verdict}"
            for check in figure.checks
        )
        note = f"<br>{figure.note}" if figure.note else ""
        rows.append(
            f"| **{figure.name}**: {figure.what}{note} | {figure.ours:,.4g} {figure.unit} | {others} | {checks} |"
        )
    return "\n".join(rows)


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def write_between_markers(path: Path, group: str, table: str) -> None:
    """Replace what stands between ``<!-- bench:GROUP -->`` and ``<!-- /bench:GROUP -->``."""
    text = path.read_text()
    marked = re.compile(rf"(<!-- bench:{group} -->\n).*?(<!-- /bench:{group} -->)", re.DOTALL)
    if not marked.search(text):
        raise SystemExit(f"{path} has no markers <!-- bench:{group} --> and <!-- /bench:{group} -->")
    path.write_text(marked.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array and nothing else")
    parser.add_argument("--only", default="", help="names of figures, with semicolons")
    parser.add_argument("--group", default=",".join(GROUPS), help="groups, with commas")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="at least 7")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables into this file")
    args = parser.parse_args()
    if args.rounds < 7:
        parser.error("--rounds: a median of fewer than 7 rounds says little")
    options = Options(rounds=args.rounds, only=tuple(filter(None, args.only.split(";"))))
    return report(measured(args.group.split(","), options, args.markdown), as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
