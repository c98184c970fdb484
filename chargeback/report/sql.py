"""The one place that imports DuckDB: connections that need no network, know their memory and spill to disk."""

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chargeback.errors import StopError, UsageError

if TYPE_CHECKING:
    import duckdb

MEMORY = "1400MB"
"""What DuckDB may hold before it spills: a close of ten million calls stays below 2 GB with Python's share."""

PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
"""A fifth faster to write than at the usual level, and hardly larger."""


class UnreadableError(StopError):
    """DuckDB cannot read what it was given."""


class Database:
    """A connection with rows as tuples; SQL errors become one sentence."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self._connection = connection

    def run(self, query: str, parameters: Sequence[Any] = ()) -> None:
        self._execute(query, parameters)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._execute(query, parameters).fetchall()

    def one(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the first value of the first row; None without rows."""
        found = self._execute(query, parameters).fetchone()
        return None if found is None else found[0]

    def batches(self, query: str, size: int = 10_000) -> Generator[list[tuple[Any, ...]]]:
        """Yield rows in bounded memory, through a cursor of their own."""
        cursor = self._connection.cursor()
        cursor.execute(query)
        while rows := cursor.fetchmany(size):
            yield rows

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows, many at a time: one statement a row takes milliseconds each."""
        for start in range(0, len(rows), 500):
            chunk = rows[start : start + 500]
            places = ", ".join(f"({', '.join('?' for _ in row)})" for row in chunk)
            self.run(f"INSERT INTO {table} VALUES {places}", [value for row in chunk for value in row])

    def _execute(self, query: str, parameters: Sequence[Any]) -> "duckdb.DuckDBPyConnection":
        import duckdb  # noqa: PLC0415  the extra `cli` brings it

        try:
            return self._connection.execute(query, list(parameters) or None)
        except duckdb.OutOfRangeException as error:
            raise StopError(f"a sum of money has no room in its column: {error}") from error
        except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
            raise UnreadableError(f"rows of the ledger cannot be read: {error}") from error


@contextmanager
def database(memory: str = MEMORY) -> Generator[Database]:
    """Open a database in memory; what does not fit goes to a folder that is deleted again."""
    try:
        import duckdb  # noqa: PLC0415  the extra `cli` brings it
    except ImportError:
        raise UsageError(
            "reports need DuckDB, which is not installed: pip install 'azure-openai-chargeback[cli]'"
        ) from None
    with tempfile.TemporaryDirectory(prefix="chargeback-") as spill:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory,
            "temp_directory": spill,
            "preserve_insertion_order": "false",
            # Nothing is ever fetched: JSON and Parquet are built in.
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        connection = duckdb.connect(config=settings)
        # It would be drawn on stdout, which is for data.
        connection.execute("SET enable_progress_bar = false")
        try:
            yield Database(connection)
        finally:
            connection.close()


def version() -> str:
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415  only who opens books needs it
    from importlib.metadata import version as installed  # noqa: PLC0415  only who opens books needs it

    try:
        return installed("duckdb")
    except PackageNotFoundError:
        return "none"


def to_parquet(db: Database, query: str, file: Path) -> None:
    """Write a query's rows to a file, whole or not at all."""
    beside = file.with_name(f".{file.name}.new")
    db.run(f"COPY ({query}) TO '{str(beside).replace(chr(39), chr(39) * 2)}' ({PARQUET})")
    beside.replace(file)
