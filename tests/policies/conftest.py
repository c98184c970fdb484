"""Policies are executed where mono is; elsewhere these tests are skipped, and in CI they fail.

What can be told by reading them (``test_policy_text``) is told everywhere.
"""

import os
from functools import cache
from pathlib import Path

import pytest

from tests.policies.gateway import Gateway, missing

READ = "test_policy_text"


def pytest_collection_modifyitems(config, items):
    """Skip one test for all of them, so that the reason is told once."""
    problem = missing()
    mine = [item for item in items if Path(__file__).parent in item.path.parents and item.path.stem != READ]
    if problem and mine and not os.environ.get("CI"):
        mine[0].add_marker(pytest.mark.skip(reason=f"and {len(mine) - 1} more tests: {problem}"))
        config.hook.pytest_deselected(items=mine[1:])
        items[:] = [item for item in items if item not in mine[1:]]


@pytest.fixture(autouse=True, scope="module")
def mono(request):
    """Comes before every fixture that compiles."""
    if (problem := missing()) and request.path.stem != READ:
        pytest.fail(problem)


@cache
def _shipped() -> Gateway:
    return Gateway.of()


@pytest.fixture
def gateway(mono) -> Gateway:
    """infra/policies as they are, compiled once."""
    return _shipped()
