"""The sample week through the policy: it says what the golden v1 captures say, and comes to the same bill."""

import json
from datetime import datetime

import pytest

from chargeback.charge import Charge
from tests.policies.scenarios import scenario
from tests.policies.test_policy_events import check
from tests.support import oracle
from tests.support.charges import rows_of
from tests.support.render import render
from tests.support.sample_calls import captured

ONLY_RENDERED = {"account"}
"""The renderer also tells the account; the policy leaves it to the worker, which reads it from the backend."""
ONLY_SENT = {"tags", "service_tier", "spillover_from"}


def through(gateway, calls, policy):
    scenarios = [scenario(call, policy) for call in calls]
    for each, call in zip(scenarios, calls, strict=True):
        each["backends"] = {"aoai-standard": call.backend, "aoai-premium": call.backend}
    return gateway.run(scenarios)


@pytest.fixture
def week(gateway):
    """Calls of the usage file; a stream's usage shows where bodies are captured."""
    calls = [each.call for each in captured()["v1"] if not each.identity_only]
    plain = [call for call in calls if not call.stream]
    streams = [call for call in calls if call.stream]
    results = [*through(gateway, plain, "api"), *through(gateway, streams, "api-with-bodies")]
    return [*plain, *streams], results


def test_the_policy_says_what_the_golden_captures_say(week):
    for call, result in zip(*week, strict=True):
        check(result)
        [sent] = result.events
        rendered = json.loads(render(call, "v1")[0])
        for told in (sent, rendered):
            told["time"] = datetime.fromisoformat(told["time"])
        common = rendered.keys() - ONLY_RENDERED

        assert {name: sent.get(name) for name in common} == {name: rendered[name] for name in common}
        assert sent.keys() - rendered.keys() <= ONLY_SENT


def test_the_week_costs_what_the_oracle_says(week):
    calls, results = week
    charges = [
        row
        for row in rows_of(*(body for result in results for body in result.bodies))
        if isinstance(row, Charge)
    ]
    expected = sum(oracle.bill(calls, oracle.sample_rates()).values())

    assert len(charges) == len(calls) > 40
    assert sum(charge.total_cost for charge in charges) == expected
