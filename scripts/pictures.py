"""Draw the pictures of README.md from what `make demo` wrote: the bill as SVG, the page as PNG (needs Chromium).

make demo && make pictures
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

from rich.console import Console

from chargeback.cli import output, report

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COMMAND = "chargeback report --ledger out/ledger --by cost-centre,operation"
SIZE = (1200, 1500)


def bill() -> None:
    """Record the table a terminal shows; the fonts of the export would be fetched from a stranger, so they go."""
    console = Console(record=True, width=146, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115, PTH123 - open as long as the script
    console.print(f"[bold]$[/bold] {COMMAND}", highlight=False)
    with mock.patch.object(output, "data_console", return_value=console):
        report.report(ledger=str(ROOT / "out" / "ledger"), by="cost-centre,operation")
    svg = console.export_svg(title="chargeback")
    (IMAGES / "bill.svg").write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), "utf-8")


def page() -> None:
    """Photograph the page as it opens."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("pictures: no Chromium on this machine; docs/images/report.png stays as it is")
    subprocess.run(  # noqa: S603 - our own words
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={SIZE[0]},{SIZE[1]}",
            f"--screenshot={IMAGES / 'report.png'}",
            (ROOT / "out" / "report.html").as_uri(),
        ],
        check=True,
        capture_output=True,
    )


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    bill()
    page()
    print("Written: docs/images/bill.svg, docs/images/report.png; look at both")
