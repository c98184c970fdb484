"""Faults planted into the shipped fragments, each caught by the test that is there to catch it."""

from collections.abc import Callable

import pytest
from jsonschema import ValidationError

from tests.policies import test_policy_events as events
from tests.policies import test_policy_gateway as requests
from tests.policies.gateway import Gateway, PolicyError, read_policies
from tests.policies.scenarios import scenario


def planted(fragment, right, wrong):
    """Compile infra/policies with one place of one fragment in another wording."""
    text = read_policies()[fragment]

    assert text.count(right) >= 1, f"{fragment} has no {right!r} any more: plant the fault elsewhere"
    return Gateway.of({fragment: text.replace(right, wrong), "log-only": events.ONE_LINE})


LOG = "chargeback-log-exchange"
OVERSIZE = events.test_bodies_that_do_not_fit_are_sent_as_identity_not_in_part


def big(gateway):
    call, policy, kind = events.CALLS["big bodies in parts"]
    events.test_what_the_policy_sends_becomes_the_charge_that_the_oracle_expects(gateway, call, policy, kind)


def plain(gateway):
    call, policy, kind = events.CALLS["JSON"]
    events.test_what_the_policy_sends_becomes_the_charge_that_the_oracle_expects(gateway, call, policy, kind)


def secret(gateway):
    """Only what holds for every event is checked here: the schema, and that it tells no secret."""
    call, policy, _ = events.CALLS["JSON by an app with a token"]
    events.ran(gateway, call, policy)


def secret_header(gateway):
    """Behind a policy that leaves the client's headers where they are."""
    [result] = gateway.run([scenario(events.SHOWN, "log-only")])
    events.check(result)


def failure(gateway):
    events.test_a_failure_is_told_without_its_body_and_costs_nothing(gateway, 429, "api")


def no_header(gateway):
    requests.test_the_best_capacity_needs_the_word_and_a_product_that_may_say_it(
        gateway, "gold", None, "aoai-standard"
    )


def background(gateway):
    events.test_what_was_made_in_the_background_is_billed_once_however_often_it_is_fetched(
        gateway, "api", ["identity", "identity", "usage", "usage"]
    )


FAULTS: dict[str, tuple[str, str, str, Callable[[Gateway], None]]] = {
    "a misspelt member of the event": (LOG, 'call["subscription_id"]', 'call["subscriptionId"]', plain),
    "the key as partition key": (
        LOG,
        '(string)context.Variables["chargeback-key"]',
        "context.Subscription.Key",
        plain,
    ),
    "the key in the event": (LOG, "context.Subscription?.Id", "context.Subscription?.Key", secret),
    "a key header in the event": (
        LOG,
        "context.Subscription?.Id",
        'context.Request.Headers.GetValueOrDefault("api-key", "")',
        secret_header,
    ),
    "the Authorization header in the event": (
        LOG,
        "context.Subscription?.Id",
        'context.Request.Headers.GetValueOrDefault("Authorization", "")',
        secret,
    ),
    "a part that is never sent": (LOG, ".Length > 4)", ".Length > 40)", big),
    "a part sent twice instead of another": (
        LOG,
        '["chargeback-events"])[1])',
        '["chargeback-events"])[0])',
        big,
    ),
    "bytes lost between parts": (LOG, "number * slice, Math", "number * slice + 1, Math", big),
    "slices too long for an event": (LOG, "const int slice = 120000;", "const int slice = 150000;", big),
    "no comparison of sizes": (LOG, "slots >= askedSlices", "900 >= askedSlices", OVERSIZE),
    "a consumed body": (LOG, "As&lt;string>(preserveContent: true)", "As&lt;string>()", plain),
    "a throwing expression": (
        LOG,
        "var status = 500;",
        "var status = 500; var none = ((string)null).Length;",
        plain,
    ),
    "a stream that is read": (
        LOG,
        "streamed ? capture :",
        "streamed ? true :",
        events.test_a_stream_is_passed_on_untouched_and_sent_as_identity,
    ),
    "the body of a failure read": (LOG, "good ? readable : false", "readable", failure),
    "a buffered stream": (
        "chargeback-retry",
        ' buffer-response="false"',
        "",
        events.test_a_stream_is_passed_on_untouched_and_sent_as_identity,
    ),
    "a retried request without its body": ("chargeback-retry", ' buffer-request-body="true"', "", plain),
    "no header means the best": ("chargeback-routing", '"x-priority", ""', '"x-priority", "high"', no_header),
    "the client's key reaches the service": (
        "chargeback-managed-identity",
        '<set-header name="api-key" exists-action="delete" />',
        "",
        requests.test_what_the_client_authenticated_with_does_not_reach_the_service,
    ),
    "the client's own choice overwritten": (
        "chargeback-include-usage",
        '|| options["include_usage"] != null',
        "",
        lambda gateway: requests.test_a_body_that_needs_nothing_or_says_otherwise_is_left_alone(
            gateway, '{"stream":true,"stream_options":{"include_usage":false}}'
        ),
    ),
    "work in the background not told": (LOG, 'call["background"] = true;', "", background),
    "usage asked of an api-version that refuses it": (
        "chargeback-include-usage",
        '"2024-09-01") >= 0',
        '"2023-01-01") >= 0',
        lambda gateway: requests.test_an_api_version_that_may_refuse_the_option_gets_the_body_as_it_was(
            gateway, "2024-02-01"
        ),
    ),
    "a token beside a key not validated": (
        "chargeback-entra",
        '|| context.Request.Headers.ContainsKey("Authorization")',
        "",
        lambda gateway: requests.test_a_caller_proves_who_he_is_by_key_or_token(
            gateway, "sub-shop", {"Authorization": "Bearer nonsense"}, 401
        ),
    ),
    "a 429 that does not say when to come back": (
        "chargeback-limit-answer",
        '" seconds."',
        '" moments."',
        lambda gateway: requests.test_beyond_a_limit_the_client_is_told_when_to_come_back(
            gateway, "llm-token-limit", "tokens"
        ),
    ),
    "everybody under one limit": (
        "chargeback-limits",
        "context.Subscription?.Id ?? app",
        '"everybody"',
        lambda gateway: requests.test_limits_count_by_subscription_or_else_by_app(
            gateway, "sub-shop", None, "sub-shop"
        ),
    ),
    "no second try": (
        "chargeback-retry",
        'count="2"',
        'count="0"',
        lambda gateway: requests.test_another_region_is_tried_after_a_refusal_and_gets_the_whole_request(
            gateway, requests.REFUSED
        ),
    ),
}
"""By name: the fragment, what is right in it, what is put there instead, and the check that must fail."""


@pytest.mark.parametrize(("fragment", "right", "wrong", "caught_by"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_caught(fragment, right, wrong, caught_by):
    gateway = planted(fragment, right, wrong)

    with pytest.raises((AssertionError, ValueError, ValidationError)):
        caught_by(gateway)


@pytest.mark.parametrize(
    "caught_by", [plain, big, OVERSIZE, failure, no_header, secret, secret_header, background]
)
def test_without_a_fault_the_same_checks_pass(caught_by):
    caught_by(planted(LOG, "const int slots = 8;", "const int slots = 8;"))


def test_a_misspelt_member_of_the_context_does_not_compile():
    with pytest.raises(PolicyError, match=r"chargeback-log-exchange\.xml\(\d+,\d+\+?\): error CS1061"):
        planted(LOG, "context.Request.OriginalUrl.Path", "context.Request.OriginalUrl.Pth")


def test_a_type_that_is_not_allowed_is_found():
    gateway = planted(LOG, "context.Operation?.Id", 'System.Environment.GetEnvironmentVariable("X")')

    assert gateway.forbidden() == ["System.Environment"]


def test_a_policy_the_harness_does_not_know_is_not_passed_over():
    gateway = planted("chargeback-retry", "<retry ", '<rewrite-uri template="/x" /><retry ')

    [result] = gateway.run([scenario(requests.CALL)])

    assert result.violations == ["unknown policy <rewrite-uri>"]
