"""Write docs/commands.md from the commands' own help; a test fails when the page is stale.

python scripts/commands.py
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import typer.main

from chargeback.cli.commands import app

PAGE = ROOT / "docs" / "commands.md"
WIDTH = 100

HEAD = """# Commands

This page is written by `scripts/commands.py` from the commands' help.
Every example is read by the commands' own parser in the tests.

- Data goes to stdout, all else to stderr: `--format json` and `csv` can be piped.
- Exit codes: 0 all good; 1 done, but something was rejected or a check failed; 2 wrong use, with one line that says what to do;
  130 after Ctrl-C; 141 when the reader of a pipe went away.
- Colours and progress bars (how far, how fast, how long) are for terminals only; `NO_COLOR=1` switches colours off.
- `--quiet` means the same everywhere: only the result and errors, no bar and no remarks.
- `--ledger` and `--rates` default to `CHARGEBACK_LEDGER` and `CHARGEBACK_RATES` ([settings.md](settings.md)).
- Completion: `chargeback --install-completion` writes it for bash, zsh, fish or PowerShell; `--show-completion` only prints it.
- Ctrl-C may come at any time, while the program is loaded too, and is one line: what was committed counts once, and the same command goes on from there.
- A word that is nearly right is answered with the right one: commands, options, choices, and the keys of `--by`.
"""


def main() -> int:
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(PAGE.relative_to(ROOT))
    return 0


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(_part(command, path) for path, command in _commands(typer.main.get_command(app)))


def _commands(group: Any, path: tuple[str, ...] = ("chargeback",)) -> Any:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def _part(command: Any, path: tuple[str, ...]) -> str:
    name = " ".join(path)
    context = command.make_context(name, [], resilient_parsing=True, terminal_width=WIDTH)
    text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
    return f"\n## {name}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    raise SystemExit(main())
