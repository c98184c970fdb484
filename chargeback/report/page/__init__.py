"""One self-contained page about a ledger: no network, no library, light and dark, readable without script."""

from pathlib import Path

from chargeback.report.books import Books
from chargeback.report.page.content import read
from chargeback.report.page.markup import page
from chargeback.report.span import Span


def write(file: Path, books: Books, span: Span) -> None:
    """Write the page; an older one is replaced."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(read(books, span)), encoding="utf-8")
