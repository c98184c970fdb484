"""infra/ as it is has no fault, and faults planted into it are found by the check that is there for them."""

import re

import pytest

from tests.infra.bicep import read, sources
from tests.infra.checks import CHECKS, LEFT, MUST, ROLES, faults
from tests.infra.faults import FAULTS

pytestmark = pytest.mark.usefixtures("parser")


@pytest.mark.parametrize("name", CHECKS)
def test_infra_has_no_fault(name):
    assert list(CHECKS[name](read())) == []


@pytest.mark.parametrize(("file", "right", "wrong", "said"), FAULTS)
def test_a_planted_fault_is_found(file, right, wrong, said):
    text = sources()[file]

    assert right in text, f"{file} has no {right!r} any more: plant the fault elsewhere"
    found = faults(read({file: text.replace(right, wrong)}))
    assert any(said in fault for fault in found), found


@pytest.mark.parametrize("name", [role[0] for role in sorted(ROLES)])
def test_each_missing_role_is_found(name):
    changed = {
        file: re.sub(rf"resource {name} '[^']+' = .*?\n}}\n", "", text, flags=re.DOTALL)
        for file, text in sources().items()
    }

    assert any(f"missing role ('{name}'" in fault for fault in faults(read(changed)))


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, wanted in MUST.items() for path in wanted])
def test_each_property_is_asked_of_something_that_is_deployed(kind, path):
    assert [each for each in read().resources(kind) if each.at(path) is not None]


def test_what_is_left_has_a_reason():
    assert all(reason for reason in LEFT.values())
