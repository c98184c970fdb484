"""Every way in which pools, shares, markups, budgets and tags can be wrong: one case, one message."""

import pytest

from chargeback.rates.load import faults
from tests.money.test_pools import TABLE

MARKED = TABLE.replace(
    "{id: CC-1}", '{id: CC-1, markups: [{percent: "5", to: 2026-06-01}, {percent: "-2.5", from: 2026-06-01}]}'
)
WHOLE = (
    MARKED
    + 'budgets:\n- {cost_centre: CC-1, amount: "500", to: 2026-06-01}\n- {cost_centre: CC-1, amount: "800", from: 2026-06-01}\n'
)

CASES = [
    (
        "a markup without quotes",
        'percent: "5"',
        "percent: 5",
        'cost_centres[0].markups[0].percent: found the plain number 5, expected a percentage in quotes such as "5" or "-2.5"',
    ),
    (
        "a markup with three decimals",
        'percent: "5"',
        'percent: "5.125"',
        'cost_centres[0].markups[0].percent: found \'5.125\', expected a percentage in quotes such as "5" or "-2.5", with at most two decimals',
    ),
    (
        "a markup below -100",
        'percent: "-2.5"',
        'percent: "-101"',
        "cost_centres[0].markups[1].percent: found -101 percent, expected -100 to 100 (policy.markup_max allows more)",
    ),
    (
        "a markup above the maximum",
        'percent: "5"',
        'percent: "100.01"',
        "cost_centres[0].markups[0].percent: found 100.01 percent, expected -100 to 100 (policy.markup_max allows more)",
    ),
    (
        "markups that overlap",
        'percent: "5", to: 2026-06-01',
        'percent: "5"',
        "cost_centres[0].markups[1]: found 2026-06-01 to open end, expected one markup at a time for a cost centre; cost_centres[0].markups[0] has always to open end",
    ),
    (
        "budgets that overlap",
        '"500", to: 2026-06-01',
        '"500", to: 2026-07-01',
        "budgets[1]: found 2026-06-01 to open end, expected one budget at a time for a cost centre; budgets[0] has always to 2026-07-01",
    ),
    (
        "a budget of nobody",
        'cost_centre: CC-1, amount: "500"',
        'cost_centre: CC-11, amount: "500"',
        "budgets[0].cost_centre: found 'CC-11', expected an id of cost_centres (did you mean 'CC-1'?)",
    ),
    (
        "a tag without a value",
        "{subscription: sub-shop, cost_centre",
        "{tag: project, cost_centre",
        "assignments[0].tag: found 'project', expected name=value, such as project=apollo",
    ),
    (
        "a tag beside a subscription",
        "{subscription: sub-shop, cost_centre",
        "{subscription: sub-shop, tag: a=b, cost_centre",
        "assignments[0]: found the keys: cost_centre, subscription, tag, expected subscription, app, both, or product or tag alone",
    ),
    (
        "a pool twice",
        "- id: gateway",
        "- id: chat-ptu",
        "pools[1].id: found 'chat-ptu', expected each id once; pools[0] has it",
    ),
    (
        "a kind of pool nobody knows",
        "kind: shared",
        "kind: share",
        "pools[1].kind: found 'share', expected one of ptu, hosting, shared, true_up (did you mean 'shared'?)",
    ),
    (
        "units missing",
        'hourly: "1.00", units: 50',
        'hourly: "1.00"',
        "pools[0].amounts[0]: found the keys: from, hourly, expected hourly with units, or amount with an end (to)",
    ),
    (
        "no amount at all",
        'amounts: [{from: 2026-01-01, hourly: "1.00", units: 50}]',
        "amounts: []",
        "pools[0]: found the keys: amounts, capacity, deployments, driver, id, idle, idle_cost_centre, kind, expected at least one amount",
    ),
    (
        "an amount without an end",
        'to: 2026-12-01, amount: "1000"',
        'amount: "1000"',
        "pools[1].amounts[0]: found the keys: amount, from, expected hourly with units, or amount with an end (to)",
    ),
    (
        "an amount that ends before it starts",
        'from: 2026-11-01, to: 2026-12-01, amount: "1000"',
        'from: 2026-12-01, to: 2026-11-01, amount: "1000"',
        "pools[1].amounts[0]: found 2026-12-01 to 2026-11-01, expected an end after the start",
    ),
    (
        "an amount without quotes",
        'amount: "1000"',
        "amount: 1000",
        'pools[1].amounts[0].amount: found the plain number 1000, expected a price in quotes such as "2.50": without quotes YAML makes a rounded number of it',
    ),
    (
        "a provisioned deployment older than its pool",
        'amounts: [{from: 2026-01-01, hourly: "1.00", units: 50}]',
        'amounts: [{from: 2026-02-01, hourly: "1.00", units: 50}]',
        "pools[0].amounts: found no amount at 2026-01-01, expected no hole in the life of 'chat'",
    ),
    (
        "a hole in the amounts",
        'amounts: [{from: 2026-01-01, hourly: "1.00", units: 50}]',
        'amounts: [{from: 2026-01-01, to: 2026-02-01, hourly: "1.00", units: 50}, {from: 2026-02-02, hourly: "1.00", units: 60}]',
        "pools[0].amounts: found no amount at 2026-02-01, expected no hole in the life of 'chat'",
    ),
    (
        "idle without a payer",
        "  idle_cost_centre: IT\n",
        "",
        "pools[0]: found the keys: amounts, capacity, deployments, driver, id, idle, kind, expected idle_cost_centre exactly with idle: platform",
    ),
    (
        "idle paid by nobody we know",
        "idle_cost_centre: IT",
        "idle_cost_centre: ITT",
        "pools[0].idle_cost_centre: found 'ITT', expected an id of cost_centres (did you mean 'IT'?)",
    ),
    (
        "fixed shares missing",
        '  shares: {CC-1: "33.33", CC-2: "66.67"}\n',
        "",
        "pools[2]: found the keys: amounts, driver, id, idle, kind, expected shares exactly with driver: fixed or idle: fixed_share",
    ),
    (
        "fixed shares that are not 100",
        'CC-2: "66.67"',
        'CC-2: "66.66"',
        "pools[2].shares: found shares of 33.33, 66.66, expected none below 0, together 100; these are 99.99",
    ),
    (
        "a fixed share of nobody we know",
        'shares: {CC-1: "33.33"',
        'shares: {CC-9: "33.33"',
        "pools[2].shares[\"CC-9\"]: found 'CC-9', expected an id of cost_centres (did you mean 'CC-2'?)",
    ),
    (
        "a pool of hours without deployments",
        "  deployments: [{account: aoai-weu-1, deployment: chat}]\n",
        "",
        "pools[0]: found the keys: amounts, capacity, driver, id, idle, idle_cost_centre, kind, expected the deployments of a pool of kind ptu",
    ),
    (
        "a deployment nobody knows",
        "deployments: [{account: aoai-weu-1, deployment: chat}]",
        "deployments: [{account: aoai-weu-1, deployment: chatt}]",
        "pools[0].deployments[0]: found 'chatt' in account 'aoai-weu-1', expected a deployment of deployments (did you mean 'chat'?)",
    ),
    (
        "a deployment that is paid by tokens",
        "deployments: [{account: aoai-weu-1, deployment: chat}]",
        "deployments: [{account: aoai-weu-1, deployment: chat}, {account: aoai-weu-1, deployment: chat-mini}]",
        "pools[0].deployments[1]: found 'chat-mini', a GlobalStandard, expected a provisioned deployment in a pool of kind ptu",
    ),
    (
        "a deployment in two pools",
        "deployments: [{account: aoai-weu-1, deployment: chat}]",
        "deployments: [{account: aoai-weu-1, deployment: chat}, {account: AOAI-weu-1, deployment: Chat}]",
        "pools[0].deployments[1]: found 'Chat', expected each deployment in one pool; pools[0].deployments[0] has it",
    ),
    (
        "a weight that is missing",
        'kind: chat, ptu_output_weight: "4"',
        "kind: chat",
        "pools[0].driver: found 'chat-ptu', divided by weighted tokens, expected ptu_output_weight on the model 'gpt-4o@2024-11-20'",
    ),
    (
        "a capacity of an amount without units",
        "  driver: calls\n",
        "  driver: calls\n  capacity: 5\n",
        "pools[1]: found the keys: amounts, capacity, driver, id, idle, kind, expected capacity only beside hourly and units, with a driver that counts calls or tokens",
    ),
    (
        "a provisioned deployment without a pool",
        "- {account: aoai-weu-1, deployment: chat-mini,",
        "- {account: aoai-weu-1, deployment: other, model: gpt-4o@2024-11-20, deployment_type: GlobalProvisionedManaged, region: westeurope, from: 2026-01-01}\n- {account: aoai-weu-1, deployment: chat-mini,",
        "deployments[1]: found no pool for 'other', expected a pool that divides what it costs",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_fault_is_told_with_path_value_and_expectation(old, new, expected):
    assert WHOLE.count(old) == 1, f"{WHOLE.count(old)} times {old!r}"

    told = [
        fault.told("t.yaml").split(": ", 1)[1] for fault in faults(WHOLE.replace(old, new), source="t.yaml")
    ]
    assert told == [expected]


def test_the_whole_table_has_neither_errors_nor_warnings():
    assert faults(WHOLE, source="t.yaml") == ()


def test_a_maximum_of_the_policy_allows_a_larger_markup():
    text = WHOLE.replace('percent: "5"', 'percent: "150"') + 'policy: {markup_max: "200"}\n'

    assert faults(text, source="t.yaml") == ()
