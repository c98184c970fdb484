"""The short form of ``make chaos``: everything it does, in less than a minute."""

import pytest

from tests.support import azurite, chaos

pytestmark = [pytest.mark.azurite, pytest.mark.timeout(240)]


def test_nothing_is_lost_and_nothing_billed_twice_under_fire():
    azurite.script_or_skip()

    report = chaos.run(chaos.short(seed=1))

    assert not report.problems, "\n" + "\n".join(report.lines())
