"""Bicep is checked where its parser is (`make test` and `make infra` install it); elsewhere these tests are skipped."""

import os

import pytest

from tests.infra.bicep import missing


def pytest_collection_modifyitems(config, items):
    """Skip one test for all of them, so that the reason is told once."""
    problem = missing()
    mine = [item for item in items if "parser" in getattr(item, "fixturenames", ())]
    if problem and mine and not os.environ.get("CI"):
        mine[0].add_marker(pytest.mark.skip(reason=f"and {len(mine) - 1} more tests: {problem}"))
        config.hook.pytest_deselected(items=mine[1:])
        items[:] = [item for item in items if item not in mine[1:]]


@pytest.fixture(scope="session")
def parser():
    if problem := missing():
        pytest.fail(problem)
