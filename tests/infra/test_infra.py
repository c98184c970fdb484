"""infra/ as it is has no fault, and faults planted into it are found by the check that is there for them."""

import re

import pytest

from tests.infra.bicep import read, sources
from tests.infra.checks import CHECKS, LEFT, MUST, ROLES, faults

pytestmark = pytest.mark.usefixtures("parser")


@pytest.mark.parametrize("name", CHECKS)
def test_infra_has_no_fault(name):
    assert list(CHECKS[name](read())) == []


@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"),
    [
        ("app/storage.bicep", "kind: 'StorageV2'\n", "kind: 'StorageV2\n", "not Bicep"),
        ("app/storage.bicep", "days: 7\n    }\n  }", "days: 7\n    }\n  ", "not Bicep"),
        ("app/storage.bicep", "name: name", "name: nmae", "nmae is not declared"),
        (
            "app/storage.bicep",
            "param deadLetterDays int",
            "param deadLetterDays int\nparam other int",
            "other is not used",
        ),
        (
            "app/roles.bicep",
            "guid(hub.id, workerPrincipalId,",
            "giud(hub.id, workerPrincipalId,",
            "giud() is not a known function",
        ),
        (
            "resources.bicep",
            "    hubName: hub.outputs.hubName\n    insightsName",
            "    insightsName",
            "needs parameter hubName",
        ),
        (
            "resources.bicep",
            "storageName: storage.outputs.name",
            "storagName: storage.outputs.name",
            "no parameter storagName",
        ),
        ("resources.bicep", "storage.outputs.blobEndpoint", "storage.outputs.blobEnd", "no output blobEnd"),
        ("resources.bicep", "./app/roles.bicep", "./app/rolls.bicep", "no module ./app/rolls.bicep"),
        (
            "app/gateway.bicep",
            "'../policies/api.xml'",
            "'../policies/apis.xml'",
            "finds no ../policies/apis.xml",
        ),
        (
            "app/monitor.bicep",
            "../alerts/alerts.bicep",
            "../alerts/rules.bicep",
            "no module ../alerts/rules.bicep",
        ),
        ("app/roles.bicep", "eventhubs@2024-01-01", "eventhubs@2022-01-01-preview", "preview"),
        (
            "main.bicep",
            "param callsPerMinute int = 300",
            "param callsPerMinute int = 30",
            "callsPerMinute differs",
        ),
        # keys, TLS, public access
        (
            "app/event-hub.bicep",
            "disableLocalAuth: !allowHubKeys",
            "disableLocalAuth: false",
            "disableLocalAuth",
        ),
        ("main.bicep", "param allowHubKeys bool = false", "param allowHubKeys bool = true", "allowHubKeys"),
        ("app/event-hub.bicep", "minimumTlsVersion: '1.2'", "minimumTlsVersion: '1.0'", "minimumTlsVersion"),
        ("app/event-hub.bicep", "isolated ? 'Disabled' : 'Enabled'", "'Enabled'", "publicNetworkAccess"),
        ("app/storage.bicep", "isolated ? 'Disabled' : 'Enabled'", "'Enabled'", "publicNetworkAccess"),
        (
            "app/storage.bicep",
            "allowSharedKeyAccess: false",
            "allowSharedKeyAccess: true",
            "allowSharedKeyAccess",
        ),
        ("app/storage.bicep", "publicAccess: 'None'", "publicAccess: 'Blob'", "publicAccess"),
        ("app/monitor.bicep", "    DisableLocalAuth: true\n", "", "DisableLocalAuth"),
        ("app/function.bicep", "httpsOnly: true", "httpsOnly: false", "httpsOnly"),
        (
            "app/function.bicep",
            "type: 'UserAssignedIdentity'",
            "type: 'StorageAccountConnectionString'",
            "authentication.type",
        ),
        (
            "app/storage.bicep",
            "output id string = account.id",
            "output id string = account.listKeys().keys[0].value",
            "list",
        ),
        # roles
        ("app/roles.bicep", "scope: hub\n", "scope: namespace\n", "role that nobody agreed on"),
        ("app/roles.bicep", "  scope: storage\n", "", "role that nobody agreed on"),
        (
            "app/roles.bicep",
            "'3913510d-42f4-4e42-8a64-420c390055eb'",
            "'b24988ac-6180-42a0-ab88-20f7382dd24c'",
            "missing role",
        ),
        (
            "app/roles.bicep",
            "principalId: gatewayPrincipalId",
            "principalId: workerPrincipalId",
            "missing role",
        ),
        # the gateway
        ("app/gateway.bicep", "endpointAddress: hubHost", "endPointAddress: hubHost", "credentials"),
        (
            "app/gateway.bicep",
            "identityClientId: 'SystemAssigned'\n      name",
            "connectionString: 'x'\n      name",
            "credentials",
        ),
        (
            "app/gateway.bicep",
            "  name: 'chargeback'\n  properties: {\n    loggerType",
            "  name: 'usage'\n  properties: {\n    loggerType",
            "no logger chargeback",
        ),
        (
            "app/gateway.bicep",
            "for account in premiumAccounts: {\n        id",
            "for account in concat(standardAccounts, premiumAccounts): {\n        id",
            "prices may be mixed",
        ),
        (
            "app/gateway.bicep",
            "{ name: 'chargeback-entra', xml: loadTextContent('../policies/chargeback-entra.xml') }\n",
            "",
            "chargeback-entra is not deployed",
        ),
        (
            "app/gateway.bicep",
            "'../policies/chargeback-limits.xml'",
            "'../policies/chargeback-retry.xml'",
            "chargeback-limits comes from",
        ),
        (
            "app/gateway.bicep",
            "  { name: 'chargeback-audience', value: audience }\n",
            "",
            "chargeback-audience is used and not deployed",
        ),
        (
            "app/gateway.bicep",
            "name: 'aoai-premium'",
            "name: 'aoai-best'",
            "backend aoai-premium is not deployed",
        ),
        ("app/gateway.bicep", "id: 'ChatCompletions_Create'", "id: 'Chat'+'s'", "cannot be checked"),
        (
            "app/gateway.bicep",
            "id: 'ChatCompletions_Create'",
            "id: 'ChatCreate'",
            "does not know operation ChatCreate",
        ),
        ("app/gateway.bicep", "{ bytes: 0 }", "{ bytes: 8192 }", "bodies are logged"),
        (
            "app/gateway.bicep",
            "logs: 'enabled'\n    }",
            "logs: 'enabled'\n      requests: { messages: 'all' }\n    }",
            "messages are logged",
        ),
        # the worker
        (
            "app/function.bicep",
            "CHARGEBACK_RATES",
            "CHARGEBACK_RATE",
            "CHARGEBACK_RATE is set and nobody reads it",
        ),
        (
            "app/function.bicep",
            "        { name: 'CHARGEBACK_PERSONAL', value: 'off' }\n",
            "",
            "CHARGEBACK_PERSONAL is neither set nor left",
        ),
        (
            "app/function.bicep",
            "{ name: 'CHARGEBACK_LOG_LEVEL'",
            "{ name: 'FUNCTIONS_WORKER_RUNTIME'",
            "has no place on Flex",
        ),
        ("app/function.bicep", "value: 'ledger'", "value: 'journal'", "no container journal"),
        ("app/function.bicep", ";Authorization=AAD", "", "telemetry is not sent"),
        (
            "app/storage.bicep",
            "'ledger/dead-letters/'",
            "'dead-letters/'",
            "no rule for ledger/dead-letters/",
        ),
        ("app/storage.bicep", "'ledger/pending/'", "'ledger/waiting/'", "no rule for ledger/pending/"),
        (
            "app/storage.bicep",
            "daysAfterModificationGreaterThan: 7",
            "daysAfterModificationGreaterThan: 7000",
            "is kept 7000 days",
        ),
        (
            "app/function.bicep",
            "'azd-service-name': 'worker'",
            "'azd-service-name': 'api'",
            "not tagged as service worker",
        ),
        ("app/endpoints.bicep", "group: 'namespace'", "group: 'table'", "endpoints for"),
        (
            "resources.bicep",
            "'./app/endpoints.bicep' = if (isolated)",
            "'./app/endpoints.bicep' = if (!isolated)",
            "isolated variant only",
        ),
    ],
)  # fmt: skip - one fault a line
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
