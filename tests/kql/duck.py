"""Run KQL on DuckDB, in the environment that has duckdb-kql: ``make kql`` makes it.

    python tests/kql/duck.py < question.json > answer.json

The question: ``{"now": instant, "tables": {name: {"columns": {name: type}, "rows": [[...]]}},
"functions": ["function Name(...) {...}"], "queries": {name: kql}}``.
``"kept"``: a function name and its call: what it returns is worked out once and kept, as ``materialize`` would.
Without it every query translates and binds the long function anew, which takes seconds each.
The answer: for each query ``{"columns": [...], "rows": [[...]]}``, every number exact and as text, or ``{"error": ...}``.

Two functions of Kusto are missing in duckdb-kql and are given to it here:

todecimal       DuckDB's decimals have one scale: 18 places, as many as any cost has (``report.columns``).
ingestion_time  the column ``_arrived`` of our table; the real one is kept by the service.
"""

import json
import sys
from datetime import date, datetime, timedelta
from typing import Any

import duckdb_kql
from duckdb_kql.translate import functions


def main() -> None:
    question = json.load(sys.stdin)
    teach("todecimal", "TRY_CAST(nullif(CAST({0} AS VARCHAR), '') AS DECIMAL(38,18))", (1,))
    teach("ingestion_time", '"_arrived"', ())
    connection = duckdb_kql.connect()
    for name, table in question["tables"].items():
        columns = ", ".join(f'"{column}" {kind}' for column, kind in table["columns"].items())
        connection.execute(f'CREATE TABLE "{name}" ({columns})')
        if table["rows"]:
            places = ", ".join("?" for _ in table["columns"])
            connection.executemany(f'INSERT INTO "{name}" VALUES ({places})', table["rows"])
    functions_there = question["functions"]
    duckdb_kql.set_functions(functions_there)
    now = datetime.fromisoformat(question["now"])
    if question["kept"]:
        duckdb_kql.set_functions(keep(connection, question["kept"], functions_there, now))
    answers = {name: answer(connection, kql, now) for name, kql in question["queries"].items()}
    json.dump(answers, sys.stdout)


def keep(connection: Any, kept: dict[str, str], there: list[str], now: datetime) -> list[str]:
    """Keep what the call returns, and return the functions with this one reading it."""
    duckdb_kql.query(connection, kept["call"], query_now=now).create("kept_calls")
    name = kept["function"]
    instead = (
        f"function {name}(since:datetime, until:datetime) {{ kept_calls | where At >= since and At < until }}"
    )
    return [instead if each.startswith(f"function {name}(") else each for each in there]


def teach(name: str, template: str, arities: tuple[int, ...]) -> None:
    functions.SCALAR_FUNCTIONS[name] = functions.FunctionSpec(name, "template", template, arities)


def answer(connection: Any, kql: str, now: datetime) -> dict[str, Any]:
    try:
        found = duckdb_kql.query(connection, kql, query_now=now)
        return {
            "columns": list(found.columns),
            "rows": [[plain(value) for value in row] for row in found.fetchall()],
        }
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told by name and the others go on
        return {"error": f"{type(error).__name__}: {error}"}


def plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


if __name__ == "__main__":
    main()
