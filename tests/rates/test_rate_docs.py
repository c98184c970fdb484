"""docs/rate-table.md tells every key, word and unit of the schema, and its example loads."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from chargeback.rates import schema
from chargeback.rates.load import faults
from chargeback.rates.words import DEPLOYMENT_TYPES, METERS, MODEL_KINDS, PROVISIONED_TYPES, UNITS

PAGE = Path(__file__).parents[2] / "docs" / "rate-table.md"
SECTIONS = [
    each
    for each in vars(schema).values()
    if isinstance(each, type) and issubclass(each, schema.Section) and each is not schema.Section
]


def keys(section: type[BaseModel]) -> list[str]:
    rows = []
    for name, field in section.model_fields.items():
        need = "yes" if field.is_required() else ""
        rows.append(f"| `{field.alias or name}` | {need} | {field.description} |")
    return ["| key | required | meaning |", "|---|---|---|", *rows]


def words() -> list[str]:
    meters = [f"| `{meter}` | {dimension} |" for meter, dimension in METERS.items()]
    units = [f"| `{name}` | {unit.per} {unit.dimension} |" for name, unit in UNITS.items()]
    kinds = [
        f"| `{kind}` | {', '.join(f'`{m}`' for m in needed) or '-'} |" for kind, needed in MODEL_KINDS.items()
    ]
    types = [
        f"| `{name}` | {'the pool' if name in PROVISIONED_TYPES else 'tokens'} |" for name in DEPLOYMENT_TYPES
    ]
    return [*meters, *units, *kinds, *types]


@pytest.mark.parametrize("section", SECTIONS, ids=[each.__name__ for each in SECTIONS])
def test_the_page_has_the_keys_of_a_section_as_the_schema_has_them(section):
    table = "\n".join(keys(section))

    assert table in PAGE.read_text(), f"put this into {PAGE.name}:\n\n{table}\n"
    assert section.__doc__ in PAGE.read_text()


def test_the_page_has_every_word_of_the_vocabularies():
    missing = [row for row in words() if row not in PAGE.read_text().splitlines()]

    assert missing == []


def test_the_example_of_the_page_loads_without_fault_or_warning():
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)

    assert faults(example, source=PAGE.name) == ()


def test_editors_get_a_json_schema():
    made = schema.RateFile.model_json_schema()

    assert made["required"] == ["schema_version", "table_id", "currency", "models", "rates"]
    assert made["$defs"]["Deployment"]["properties"]["from"]["type"] == "string"
