"""Every place that can reject a table is reached by a case, and every case by a place: counted, not believed.

The places are read from the source: what a check yields, what a value or a section refuses, what YAML may not
contain, what a closed month forbids. While the cases run, each of these calls notes from which line it came.
"""

import ast
import inspect
import sys
from contextlib import ExitStack
from types import ModuleType
from unittest.mock import patch

import pytest

from chargeback.rates import document, history, load, schema, values
from chargeback.rates.checks import CHECKS, meters, names, offers, pools, spans
from tests.rates import test_pool_faults, test_rate_faults
from tests.rates.tables import BASE, TABLE, changed, told
from tests.rates.test_history import JUNE

# module -> the calls by which it refuses
REFUSALS: dict[ModuleType, tuple[str, ...]] = {
    document: ("self.fault", "walk.fault"),
    schema: ("PydanticCustomError",),
    values: ("_unless",),
    meters: ("Finding",),
    names: ("Finding",),
    offers: ("Finding",),
    pools: ("Finding",),
    spans: ("Finding",),
    history: ("Finding",),
}

# The list of money.md, 8.3, in its order: what must be rejected -> the case that shows it.
THE_LIST = {
    "file: unknown keys": "an unknown key at the top",
    "file: duplicate YAML keys": "a repeated key",
    "file: YAML anchors": "an anchor",
    "file: YAML aliases": "an alias",
    "file: naive datetimes": "a naive instant",
    "price: float": "a price without quotes",
    "price: other than text": "a price that is a list",
    "price: negative": "a negative price",
    "price: NaN and infinity": "a price that is not a number",
    "price: exponent": "a price in scientific notation",
    "price: out of a sane range": "a price of too many digits",
    "price: zero without free": "a price of zero",
    "price: free without a reason": "free without a reason",
    "unit: unknown per": "an unknown unit",
    "unit: wrong dimension": "a unit of another dimension",
    "unit: implausible magnitude": "output priced per 1K beside input per 1M",
    "currency: missing": "no currency",
    "currency: mixed": "a second currency",
    "intervals: from >= to": "a rate that ends before it starts",
    "intervals: overlapping": "rates that overlap",
    "intervals: gaps": "a gap between rates",
    "intervals: duplicate key": "rates repeated",
    "deployments: unknown model": "an unknown model of a deployment",
    "deployments: alias of another model": "an alias that is another model's name",
    "deployments: alias chain": "same_as a meter that is the same as another",
    "deployments: duplicate account and name": "a deployment twice",
    "deployments: no rate on a day of its life": "a deployment older than its rate",
    "completeness: chat without output": "a chat model without output",
    "completeness: chat without cached": "a chat model without cached input",
    "completeness: cache write from gpt-5.6 on": "a model that bills cache writes without a price for them",
    "completeness: audio without audio meters": "a realtime model without audio",
    "completeness: region-varying with a star": "a star over a price that varies by region",
    "relations: cached > input": "cached input dearer than input",
    "relations: batch > standard": "a batch rate dearer than standard",
    "relations: data zone < global": "a data zone rate cheaper than global",
    "PTU: units missing": "units missing",
    "PTU: periods missing": "no amount at all",
    "PTU: spillover target missing": "spillover to nowhere",
    "PTU: spillover target provisioned": "spillover to a provisioned deployment",
    "PTU: spillover target of another scope": "spillover to another scope",
    "allocation: two cost centres at one instant": "a subscription in two cost centres",
    "allocation: unknown cost centre": "an unknown cost centre",
    "allocation: markup out of range": "a markup below -100",
    "allocation: fixed shares not 100": "fixed shares that are not 100",
}

_HISTORY = {
    "prices that grew old": (BASE, None),
    "a price rewritten": (changed('input_text: {price: "0.15"', 'input_text: {price: "0.16"'), TABLE),
    "a rate withdrawn": (
        changed("  region: [eastus]\n  effective_from: 2026-01-01", "  region: [eastus2]\n  effective_from: 2026-01-01"),
        TABLE,
    ),
    "an end moved into a closed month": (
        changed("12:00:00Z\n  effective_to: null", "12:00:00Z\n  effective_to: 2026-05-31"),
        TABLE,
    ),
}  # fmt: skip
# Texts no passage of the base can show.
_WHOLE_FILES = {
    "no mapping": "- a\n",
    "broken YAML": 'a: "b',
    "a forbidden character": "a: \x07",
    "too deep": "a: " + "[" * 500,
}


def _cases():
    for name, old, new, *_ in test_rate_faults.CASES:
        yield name, lambda old=old, new=new: told(changed(old, new))
    for name, old, new, _ in test_pool_faults.CASES:
        text = test_pool_faults.WHOLE.replace(old, new)
        yield name, lambda text=text: load.faults(text, source="t.yaml")
    for name, (text, against) in _HISTORY.items():
        if against is None:
            yield (
                name,
                lambda text=text: load.faults(text, source="t.yaml", today=JUNE.date().replace(year=2027)),
            )
        else:
            yield name, lambda text=text, table=against: load.faults_against(text, table.rows, JUNE)
    for name, text in _WHOLE_FILES.items():
        yield name, lambda text=text: told(text)


CASES = dict(_cases())


def _places(module, calls):
    """Return (first line, last line, function) of each statement that refuses."""
    functions = [
        each for each in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(each, ast.FunctionDef)
    ]
    return list(dict.fromkeys(
        (node.lineno, node.end_lineno, function.name)
        for function in functions
        if function.name not in ("_unless", "fault")
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in calls
    ))  # fmt: skip


PLACES = {
    (module.__file__, first, last): f"{module.__name__}.{function}:{first}"
    for module, calls in REFUSALS.items()
    for first, last, function in _places(module, calls)
}


@pytest.fixture(scope="module")
def reached():
    """Run every case and note the places it reached: case -> places."""
    lines: set[tuple[str, int]] = set()

    def noting(real, refuses=lambda *_: True):
        def call(*args, **told):
            caller = sys._getframe(1)
            if refuses(*args):
                lines.add((caller.f_code.co_filename, caller.f_lineno))
            return real(*args, **told)

        return call

    found = {}
    with ExitStack() as stack:
        for module in (meters, names, offers, pools, spans, history):
            stack.enter_context(patch.object(module, "Finding", noting(module.Finding)))
        stack.enter_context(patch.object(document._Walk, "fault", noting(document._Walk.fault)))
        stack.enter_context(patch.object(schema, "PydanticCustomError", noting(schema.PydanticCustomError)))
        stack.enter_context(
            patch.object(values, "_unless", noting(values._unless, lambda good=False, *_: not good))
        )
        for name, run in CASES.items():
            lines.clear()
            assert run(), f"{name}: nothing was told"
            found[name] = {
                told for (file, first, last), told in PLACES.items()
                if any(of == file and first <= line <= last for of, line in lines)
            }  # fmt: skip
    return found


def test_every_place_that_refuses_is_reached_by_a_case(reached):
    assert set(PLACES.values()) - set().union(*reached.values()) == set()
    assert len(PLACES) > 60


def test_every_case_reaches_a_place_or_a_rule_of_pydantic(reached):
    """What pydantic itself refuses is told in the words of ``load._WORDS``."""
    by_pydantic = {name for name, places in reached.items() if not places}

    lines = [getattr(line, "expected", line) for name in by_pydantic for line in CASES[name]()]
    assert [line for line in lines if not any(word in line for word in _PYDANTIC)] == []


_PYDANTIC = ("the required key", "an unknown key", "expected text", "expected a list", "expected a mapping", "at most 200", "at least one entry")  # fmt: skip


def test_every_check_has_a_case_and_no_check_is_listed_twice(reached):
    told = {place.split(":")[0].rsplit(".", 1)[1] for places in reached.values() for place in places}
    helpers = {"overlapping_" + name: "_overlaps" for name in ("rates", "deployments", "defaults", "keys", "assignments", "markups", "budgets")}  # fmt: skip
    helpers |= {"repeated_ids": "_repeated", "unusual_relations": "_undercuts"}

    checks = [check.find.__name__ for check in CHECKS]
    assert len(set(checks)) == len(checks)
    assert {helpers.get(name, name) for name in checks} <= told


def test_every_problem_of_a_pool_has_a_case():
    source = ast.parse(inspect.getsource(schema.Pool))
    problems = {
        ast.unparse(node.value).strip("f'\"").split("{")[0]
        for node in ast.walk(source)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "problem"
    } - {"None"}

    told = "\n".join(case[3] for case in test_pool_faults.CASES)
    assert {problem for problem in problems if problem not in told} == set()
    assert len(problems) == 5


def test_the_reference_list_and_the_cases_agree():
    assert set(THE_LIST.values()) <= set(CASES)
    assert len(set(THE_LIST.values())) == len(THE_LIST)
