"""Golden captures: a file of captured events, and beside it what they must cost, readable."""

from pathlib import Path

from chargeback.pipeline import Context
from chargeback.rates.load import parse
from chargeback.replaying import without_ledger
from chargeback.sources.capture_files import find
from tests.support.readable import readable

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "tests" / "captures"
RATES = ROOT / "samples" / "rates.yaml"


def cases() -> list[Path]:
    """Return the inputs: our own captures and the samples of the demo."""
    return sorted([*CAPTURES.glob("*.jsonl"), *(ROOT / "samples").glob("*/*.jsonl")])


def expectation(case: Path) -> Path:
    return CAPTURES / f"{case.name}.charges"


def charges(case: Path) -> str:
    """Bill a capture and write the result down as its golden file has it."""
    context = Context(table=parse(RATES.read_text("utf-8"), source="samples/rates.yaml"))
    rows, _ = without_ledger(find([case]), context, lambda _: None)
    # The name of a file's stream is its content's hash; the golden files say what was billed, not where it lay.
    return readable(rows)
