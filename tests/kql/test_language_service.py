"""The check of the queries sees what is wrong with one: Kusto's own language service, and our names of properties."""

import os

import pytest

from scripts import kql

SKIPPED = kql.missing() or (None if os.environ.get("CHARGEBACK_KQL") else "takes minutes: run `make kql`")
if SKIPPED is not None:
    pytest.skip(SKIPPED, allow_module_level=True)
pytestmark = pytest.mark.timeout(300)

EVENTS = "ChargebackEvents(ago(1d))"
FAULTY = {
    "a property that is never sent": (
        f"{EVENTS} | project x = tostring(Properties.TokenId)",
        "no such property",
    ),
    "the same in brackets": (
        f'{EVENTS} | project x = tostring(Properties["tokenInfoID"])',
        "no such property",
    ),
    "a name of another case": (f"{EVENTS} | project x = tostring(Properties.totalcost)", "no such property"),
    "a name nobody can check": (f"{EVENTS} | project x = tostring(Properties[Name])", "no such property"),
    "a field no log line has": (
        "WorkerLog(ago(1d), now()) | project x = Fields.oldest_age",
        "no such property",
    ),
    "a column": (f"{EVENTS} | project Cost", "KS142"),
    "a table": ("customEvent | count", "KS204"),
    "a function": (f"{EVENTS} | project x = tomoney(Name)", "KS211"),
    "an aggregate": (f"{EVENTS} | summarize x = tolower(Name)", "KS236"),
    "a parameter": ("ChargebackEvents() | count", "KS119"),
    "a word": (f"{EVENTS} | summarize count() Name", "KS005"),
}


@pytest.fixture(scope="module")
def answers():
    told = [(name, "workspace", kql.needed(text, "workspace") + text) for name, (text, _) in FAULTY.items()]
    sound = "ChargebackEvents(ago(1d)) | project x = tostring(Properties.TokenInfoId)"
    return {
        each["name"]: each
        for each in kql.check([*told, ("sound", "workspace", kql.needed(sound, "workspace") + sound)])
    }


@pytest.mark.parametrize("name", FAULTY)
def test_a_query_that_names_what_is_not_there_is_refused(answers, name):
    faults = answers[name]["faults"]

    assert any(FAULTY[name][1] in fault for fault in faults), faults
    assert faults[0].startswith("line ")


def test_a_sound_query_has_no_fault_and_known_columns(answers):
    assert answers["sound"]["faults"] == []
    assert answers["sound"]["columns"] == [{"name": "x", "type": "string"}]
