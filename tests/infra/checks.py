"""What must be true of infra/, each check a function from the parsed files to the faults it found."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from chargeback.operations import operation
from chargeback.settings import Settings
from tests.infra.bicep import INFRA, ROOT, Bicep

Check = Callable[[Bicep], Iterator[str]]

FUNCTIONS = frozenset(
    [
        "any",
        "array",
        "concat",
        "contains",
        "empty",
        "environment",
        "first",
        "guid",
        "items",
        "json",
        "last",
        "length",
        "loadJsonContent",
        "loadTextContent",
        "max",
        "min",
        "replace",
        "resourceGroup",
        "resourceId",
        "split",
        "string",
        "subscription",
        "subscriptionResourceId",
        "substring",
        "tenant",
        "toLower",
        "union",
        "uniqueString",
    ]
)
"""Bicep's own functions that are used here; another one is added on purpose."""
ISOLATED = {"expr": "isolated ? 'Disabled' : 'Enabled'"}


# ---- the language


def syntax(bicep: Bicep) -> Iterator[str]:
    for file, told in bicep.files.items():
        yield from (f"{file}:{place}: not Bicep" for place in told["errors"])


def names(bicep: Bicep) -> Iterator[str]:
    """Every name is declared once and used, and every function is known."""
    for file, told in bicep.files.items():
        declared = [*told["params"], *told["vars"]]
        things = [each["name"] for each in (*told["resources"], *told["modules"])]
        for name, times in Counter([*declared, *things]).items():
            if times > 1:
                yield f"{file}: {name} is declared {times} times"
        for name in set(told["used"]) - {*declared, *things, *told["loops"]}:
            yield f"{file}: {name} is not declared"
        for name in set(declared) - set(told["used"]):
            yield f"{file}: {name} is not used"
        for name in (
            {called for called, _ in told["calls"]} - FUNCTIONS - {"description", "secure", "allowed"}
        ):
            if name not in ("minLength", "maxLength"):
                yield f"{file}: {name}() is not a known function"


def modules(bicep: Bicep) -> Iterator[str]:
    """A module is there, gets what it needs and nothing else, and gives what is taken from it."""
    for file, told in bicep.files.items():
        for module in told["modules"]:
            path = str((INFRA / file).parent.joinpath(module["kind"]).resolve().relative_to(INFRA.resolve()))
            if path not in bicep.files:
                yield f"{file}: no module {module['kind']}"
                continue
            params = bicep.files[path]["params"]
            given = module["body"].get("loop", module["body"]).get("params", {})
            yield from (f"{file}: {path} has no parameter {name}" for name in given.keys() - params.keys())
            needed = {name for name, param in params.items() if "default" not in param}
            yield from (f"{file}: {path} needs parameter {name}" for name in needed - given.keys())
            text = json.dumps(told)
            for output in re.findall(rf"\b{module['name']}\.outputs\.(\w+)", text):
                if output not in bicep.files[path]["outputs"]:
                    yield f"{file}: {path} has no output {output}"


def loaded_files(bicep: Bicep) -> Iterator[str]:
    for function in ("loadTextContent", "loadJsonContent"):
        for file, given in bicep.calls(function):
            if not (INFRA / file).parent.joinpath(given[0]).is_file():
                yield f"{file}: {function} finds no {given[0]}"


def versions(bicep: Bicep) -> Iterator[str]:
    """One API version a type; a preview only where nothing else has the property."""
    previews = {
        "Microsoft.Insights/diagnosticSettings",
        "Microsoft.Insights/privateLinkScopes",
        "Microsoft.Insights/privateLinkScopes/scopedResources",
        "Microsoft.ApiManagement/service/apis/diagnostics",
    }
    seen: dict[str, set[str]] = {}
    for told in bicep.files.values():
        for each in told["resources"]:
            seen.setdefault(each["kind"], set()).add(each["version"])
    for kind, used in seen.items():
        stable = {version for version in used if "preview" not in version}
        if len(stable) > 1:
            yield f"{kind}: several versions {sorted(stable)}"
        if used - stable and kind not in previews:
            yield f"{kind}: preview {sorted(used - stable)}"


def parameters(bicep: Bicep) -> Iterator[str]:
    """The parameters file, main and resources agree: names, what must be given, defaults."""
    main, inner = bicep.files["main.bicep"]["params"], bicep.files["resources.bicep"]["params"]
    given = json.loads((INFRA / "main.parameters.json").read_text("utf-8"))["parameters"]
    yield from (f"main.parameters.json: no parameter {name}" for name in given.keys() - main.keys())
    for name, param in main.items():
        if "default" not in param and name not in given:
            yield f"main.parameters.json lacks {name}"
        if name in ("resourceGroupName", "location", "environmentName"):
            continue
        if inner.get(name) != param:
            yield f"resources.bicep: {name} differs from main.bicep"
        passed = bicep.files["main.bicep"]["modules"][0]["body"]["params"].get(name)
        if passed != {"expr": name}:
            yield f"main.bicep does not pass on {name}"


# ---- security

MUST = {
    "Microsoft.EventHub/namespaces": {
        "properties.disableLocalAuth": {"expr": "!allowHubKeys"},
        "properties.minimumTlsVersion": "1.2",
        "properties.publicNetworkAccess": ISOLATED,
    },
    "Microsoft.Storage/storageAccounts": {
        "properties.allowSharedKeyAccess": False,
        "properties.allowBlobPublicAccess": False,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": True,
        "properties.publicNetworkAccess": ISOLATED,
        "properties.networkAcls.defaultAction": {"expr": "isolated ? 'Deny' : 'Allow'"},
    },
    "Microsoft.Storage/storageAccounts/blobServices/containers": {"properties.publicAccess": "None"},
    "Microsoft.Insights/components": {
        "properties.DisableLocalAuth": True,
        "properties.publicNetworkAccessForIngestion": ISOLATED,
    },
    "Microsoft.OperationalInsights/workspaces": {
        "properties.features.disableLocalAuth": True,
        "properties.publicNetworkAccessForIngestion": ISOLATED,
    },
    "Microsoft.Web/sites": {
        "identity.type": "UserAssigned",
        "properties.httpsOnly": True,
        "properties.publicNetworkAccess": ISOLATED,
        "properties.virtualNetworkSubnetId": {"expr": "isolated ? subnetId : null"},
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.ftpsState": "Disabled",
        "properties.functionAppConfig.runtime": {"name": "python", "version": "3.13"},
        "properties.functionAppConfig.deployment.storage.authentication.type": "UserAssignedIdentity",
    },
    "Microsoft.ApiManagement/service": {"identity.type": "SystemAssigned"},
}


def secured(bicep: Bicep) -> Iterator[str]:
    """Identity instead of keys, TLS 1.2, and nothing public in the isolated variant."""
    for kind, wanted in MUST.items():
        found = list(bicep.resources(kind))
        if not found:
            yield f"no {kind}"
        for resource in found:
            for path, value in wanted.items():
                if resource.at(path) != value:
                    yield f"{resource.file}: {resource.name}: {path} is {resource.at(path)!r}, not {value!r}"
    if bicep.files["main.bicep"]["params"]["allowHubKeys"].get("default") is not False:
        yield "main.bicep: allowHubKeys is not false unless somebody says so"


def no_keys(bicep: Bicep) -> Iterator[str]:
    """Nothing reads a key, and nothing hands out a connection string but the one without a secret."""
    for file, told in bicep.files.items():
        yield from (f"{file}: {called}()" for called, _ in told["calls"] if called.startswith("list"))
        text = json.dumps(told)
        if re.search(
            r"listKeys|SharedAccessKey=|AccountKey=|primaryKey|instrumentationKey", text, re.IGNORECASE
        ):
            yield f"{file}: a key"
    for told in bicep.files.values():
        for name in told["outputs"]:
            if re.search("key|secret|password|token", name, re.IGNORECASE):
                yield f"output {name}"


ROLES = {
    ("workerOnBlobs", "storage", "workerPrincipalId", "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"),
    ("workerOnQueues", "storage", "workerPrincipalId", "974c5e8b-45b9-4653-ba55-5f855dd0fb88"),
    ("workerOnTables", "storage", "workerPrincipalId", "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"),
    ("workerOnHub", "hub", "workerPrincipalId", "a638d3c7-ab3a-418d-83e6-5f17a39d4fde"),
    ("workerOnInsights", "insights", "workerPrincipalId", "3913510d-42f4-4e42-8a64-420c390055eb"),
    ("gatewayOnHub", "hub", "gatewayPrincipalId", "2b629674-e913-4c01-ae53-ef4638d8f975"),
    ("gatewayOnInsights", "insights", "gatewayPrincipalId", "3913510d-42f4-4e42-8a64-420c390055eb"),
    ("gatewayOnAccount", "account", "gatewayPrincipalId", "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd"),
    ("deployerOnBlobs", "storage", "deployerPrincipalId", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"),
}
"""Who gets which role on what: no more and no less."""


def roles(bicep: Bicep) -> Iterator[str]:
    found = set()
    for each in bicep.resources("Microsoft.Authorization/roleAssignments"):
        variables = bicep.files[each.file]["vars"]
        scope, principal = (_expression(each.at(path)) for path in ("scope", "properties.principalId"))
        definition = _expression(each.at("properties.roleDefinitionId"))
        variable = definition.removesuffix(")").rpartition(", ")[2]
        found.add((each.name, scope, principal, variables.get(variable)))
        if each.at("name") != {"expr": f"guid({scope}.id, {principal}, {variable})"}:
            yield f"{each.file}: {each.name}: its name does not follow from scope, principal and role"
        if each.name != "deployerOnBlobs" and each.at("properties.principalType") != "ServicePrincipal":
            yield f"{each.file}: {each.name}: principalType"
    yield from (f"missing role {role}" for role in sorted(ROLES - found))
    yield from (f"role that nobody agreed on {role}" for role in found - ROLES)


def _expression(value: Any) -> str:
    return value["expr"] if isinstance(value, dict) and "expr" in value else repr(value)


def endpoints(bicep: Bicep) -> Iterator[str]:
    """The isolated variant reaches everything that is closed, by a private endpoint and a name."""
    targets = bicep.files["app/endpoints.bicep"]["vars"]["targets"]
    groups = {each["group"] for each in targets}
    if groups != {"blob", "queue", "table", "namespace", "azuremonitor"}:
        yield f"app/endpoints.bicep: endpoints for {sorted(groups)}"
    for resource in bicep.files["resources.bicep"]["modules"]:
        if resource["name"] in ("network", "endpoints") and resource["body"].get("if") != "isolated":
            yield f"resources.bicep: {resource['name']} is not for the isolated variant only"


# ---- the gateway

CREDENTIALS = {
    "azureEventHub": {"endpointAddress", "identityClientId", "name"},
    "applicationInsights": {"connectionString", "identityClientId"},
    "azureMonitor": set[str](),
}


def loggers(bicep: Bicep) -> Iterator[str]:
    """No type checker knows the keys of a logger's credentials."""
    kinds = set()
    for each in bicep.resources("Microsoft.ApiManagement/service/loggers"):
        kind = each.at("properties.loggerType")
        kinds.add(kind)
        credentials = each.at("properties.credentials") or {}
        if credentials.keys() != CREDENTIALS[kind]:
            yield f"{each.file}: {each.name}: credentials {sorted(credentials)}"
        if credentials and credentials.get("identityClientId") != "SystemAssigned":
            yield f"{each.file}: {each.name}: not as the gateway's identity"
    yield from (f"no logger {kind}" for kind in CREDENTIALS.keys() - kinds)
    policies = "".join(path.read_text("utf-8") for path in (INFRA / "policies").glob("*.xml"))
    told = {each.at("name") for each in bicep.resources("Microsoft.ApiManagement/service/loggers")}
    yield from (f"no logger {used}" for used in set(re.findall(r'logger-id="([^"]+)"', policies)) - told)


def policies(bicep: Bicep) -> Iterator[str]:
    """Every fragment and named value that a policy uses is deployed, from the file of its name, as XML."""
    gateway = bicep.files["app/gateway.bicep"]
    texts = {path.stem: path.read_text("utf-8") for path in (INFRA / "policies").glob("*.xml")}
    deployed = {each["name"]: each["xml"]["expr"] for each in gateway["vars"]["fragments"]}
    for name, source in deployed.items():
        if source != f"loadTextContent('../policies/{name}.xml')":
            yield f"fragment {name} comes from {source}"
    wanted = {name for name in texts if name.startswith("chargeback-")}
    yield from (f"fragment {name} is not deployed" for name in wanted - deployed.keys())
    values = {each["name"] for each in gateway["vars"]["namedValues"]}
    used = set(re.findall(r"\{\{([^{}]+)\}\}", "".join(texts.values())))
    yield from (f"named value {name} is used and not deployed" for name in used - values)
    yield from (f"named value {name} is deployed and not used" for name in values - used)
    for each in bicep.resources("Microsoft.ApiManagement/service/policyFragments"):
        if each.at("properties.format") != "xml":
            yield f"{each.name}: well-formed files are deployed as xml"
    backends = {"aoai-standard", "aoai-premium"}
    named = {str(each.at("name")) for each in bicep.resources("Microsoft.ApiManagement/service/backends")}
    yield from (f"backend {name} is not deployed" for name in backends - named)


def pools(bicep: Bicep) -> Iterator[str]:
    """A pool holds one kind of price; a mixed one would need the backend in the event, which a pool hides."""
    log = (INFRA / "policies" / "chargeback-log-exchange.xml").read_text("utf-8")
    if 'call["backend"]' not in log:
        yield "chargeback-log-exchange.xml does not tell the backend"
    for each in bicep.resources("Microsoft.ApiManagement/service/backends"):
        if each.at("properties.type") != "Pool":
            continue
        services = each.at("properties.pool.services")
        over = services.get("over") if isinstance(services, dict) else None
        if over not in ("standardAccounts", "premiumAccounts"):
            yield f"{each.file}: {each.name}: a pool over {over}: prices may be mixed"


def breakers(bicep: Bicep) -> Iterator[str]:
    """A member that refuses or fails steps aside for as long as it says, so that another region answers."""
    for each in bicep.resources("Microsoft.ApiManagement/service/backends"):
        if each.at("properties.type") == "Pool":
            continue
        rules = each.at("properties.circuitBreaker.rules") or [{}]
        ranges = rules[0].get("failureCondition", {}).get("statusCodeRanges", [])
        if not {(429, 429), (500, 599)} <= {(one.get("min"), one.get("max")) for one in ranges}:
            yield f"{each.file}: {each.name}: its circuit does not break at 429 and 5xx"
        if rules[0].get("acceptRetryAfter") is not True:
            yield f"{each.file}: {each.name}: its circuit does not heed Retry-After"


def operations(bicep: Bicep) -> Iterator[str]:
    """The worker knows every operation by its id."""
    variables = bicep.files["app/gateway.bicep"]["vars"]
    for each in (*variables["byDeployment"], *variables["byBody"]):
        if operation(each["id"]) is None:
            yield f"app/gateway.bicep: the worker does not know operation {each['id']}"


def diagnostics(bicep: Bicep) -> Iterator[str]:
    """No log of the gateway holds bodies: text would leave, and streams would be buffered."""
    for each in bicep.resources("Microsoft.ApiManagement/service/apis/diagnostics"):
        for side in ("frontend", "backend"):
            for way in ("request", "response"):
                if each.at(f"properties.{side}.{way}.body.bytes") != 0:
                    yield f"{each.file}: {each.name}: bodies are logged"
        model = each.at("properties.largeLanguageModel")
        if model is not None and model != {"logs": "enabled"}:
            yield f"{each.file}: {each.name}: messages are logged"
        if each.at("properties.logClientIp") is not False:
            yield f"{each.file}: {each.name}: client addresses are logged"


# ---- the worker

LEFT = {
    "EVENT_HUB_CONNECTION": "a key; the identity form is set",
    "AzureWebJobsStorage": "a key; the identity form is set",
    "CHARGEBACK_STORAGE": "the host's storage is the ledger's, too",
    "CHARGEBACK_PSEUDONYM_KEY": "a secret: set as a Key Vault reference by whom it belongs to (docs/deploy.md)",
    "CHARGEBACK_EVENT_ALIAS": "only for old dashboards, which would count twice",
    "CHARGEBACK_TELEMETRY_DEADLINE": "the default fits the host's time-out",
    "CHARGEBACK_JOIN_TIMEOUT": "the default is longer than any call",
    **dict.fromkeys(
        (
            "CHARGEBACK_CHECKPOINTS",
            "CHARGEBACK_BATCH_EVENTS",
            "CHARGEBACK_PREFETCH_BYTES",
            "CHARGEBACK_BALANCING_INTERVAL",
            "CHARGEBACK_OWNERSHIP_EXPIRY",
            "CHARGEBACK_SETTLE_INTERVAL",
            "CHARGEBACK_HEALTH",
        ),
        "of the standalone host only",
    ),
}
"""Settings that the deployment leaves at their defaults, and why."""
PLATFORM = {
    "AZURE_CLIENT_ID": "for azure-identity",
    "AzureWebJobsStorage__credential": "read by name, see settings.StorageAccess",
    "AzureWebJobsStorage__clientId": "as above",
    "AzureWebJobsStorage__blobServiceUri": "as above",
    "AzureWebJobsStorage__queueServiceUri": "the host",
    "AzureWebJobsStorage__tableServiceUri": "the host",
}
"""App settings that are not the worker's own."""


def app_settings(bicep: Bicep) -> Iterator[str]:
    """What is set is what settings.py reads, and what it reads is set or left for a reason."""
    known = {str(field.alias) for field in Settings.model_fields.values()}
    [site] = bicep.resources("Microsoft.Web/sites")
    given = [each["name"] for each in site.at("properties.siteConfig.appSettings")]
    yield from (f"{name} is set twice" for name, times in Counter(given).items() if times > 1)
    yield from (f"{name} is set and nobody reads it" for name in set(given) - known - PLATFORM.keys())
    yield from (f"{name} is neither set nor left for a reason" for name in known - set(given) - LEFT.keys())
    yield from (f"{name} is set, though it is to be left" for name in set(given) & LEFT.keys())
    yield from (f"{name} is left, but there is no such setting" for name in LEFT.keys() - known)
    for name in ("FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"):
        if name in given:
            yield f"{name} has no place on Flex Consumption"


def values(bicep: Bicep) -> Iterator[str]:
    """Settings name what the rest of infra makes: containers, hub, table."""
    [site] = bicep.resources("Microsoft.Web/sites")
    given = {each["name"]: each["value"] for each in site.at("properties.siteConfig.appSettings")}
    containers = bicep.files["app/storage.bicep"]["vars"]["containers"]["expr"]
    for name in (given["CHARGEBACK_LEDGER"], str(given["CHARGEBACK_RATES"]).partition("/")[0], "deployment"):
        if f"'{name}'" not in containers:
            yield f"app/storage.bicep: no container {name}"
    if given["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"] != {
        "expr": "'ClientId=${identityClientId};Authorization=AAD'"
    }:
        yield "telemetry is not sent as the worker's identity"
    if given["EVENT_HUB_CONNECTION__credential"] != "managedidentity":
        yield "the hub is not read as the worker's identity"


def lifecycle(bicep: Bicep) -> Iterator[str]:
    """The two places that hold customer text are emptied by rule, where the worker writes them."""
    [policy] = bicep.resources("Microsoft.Storage/storageAccounts/managementPolicies")
    rules = {each["name"]: each["definition"] for each in policy.at("properties.policy.rules")}
    for folder, days in (("dead-letters", {"expr": "deadLetterDays"}), ("pending", 7)):
        code = (ROOT / "chargeback" / "sinks" / f"{folder.replace('-', '_')}.py").read_text("utf-8")
        if f'_FOLDER = "{folder}/"' not in code:
            yield f"the worker writes {folder} elsewhere"
        rule = rules.get(folder, {"filters": {}, "actions": {}})
        if rule["filters"].get("prefixMatch") != [f"ledger/{folder}/"]:
            yield f"app/storage.bicep: no rule for ledger/{folder}/"
        kept = rule["actions"].get("baseBlob", {}).get("delete", {}).get("daysAfterModificationGreaterThan")
        if kept != days:
            yield f"app/storage.bicep: {folder} is kept {kept} days"
        if set(rule["filters"].get("blobTypes", ())) != {"blockBlob", "appendBlob"}:
            yield f"app/storage.bicep: {folder}: not every kind of blob"


HOST_KEYS = {
    "version",
    "functionTimeout",
    "logging",
    "extensions",
    "extensionBundle",
}  # fmt: skip - a list of words
HUB_KEYS = {
    "maxEventBatchSize",
    "minEventBatchSize",
    "maxWaitTime",
    "prefetchCount",
    "batchCheckpointFrequency",
    "initialOffsetOptions",
    "targetUnprocessedEventThreshold",
    "clientRetryOptions",
    "transportType",
    "trackLastEnqueuedEventProperties",
    "loadBalancingUpdateInterval",
    "partitionOwnershipExpirationInterval",
}  # fmt: skip - a list of words


def host(bicep: Bicep) -> Iterator[str]:
    """host.json has only keys that the host knows: it ignores others without a word."""
    del bicep
    told = json.loads((ROOT / "host.json").read_text("utf-8"))
    yield from (f"host.json: {name}" for name in told.keys() - HOST_KEYS)
    yield from (f"host.json: eventHubs.{name}" for name in told["extensions"]["eventHubs"].keys() - HUB_KEYS)
    excluded = told["logging"]["applicationInsights"]["samplingSettings"]["excludedTypes"].split(";")
    if "Event" not in excluded:
        yield "host.json: billing events are sampled"
    if "Trace" not in excluded:
        yield "host.json: the worker's lines are sampled, and alerts read them"
    sample = json.loads((ROOT / "local.settings.sample.json").read_text("utf-8"))["Values"]
    known = {str(field.alias) for field in Settings.model_fields.values()} | {"FUNCTIONS_WORKER_RUNTIME"}
    yield from (f"local.settings.sample.json: nobody reads {name}" for name in sample.keys() - known)


def azd(bicep: Bicep) -> Iterator[str]:
    """azd finds the app by its tag, and its hooks."""
    told = yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8"))
    [site] = bicep.resources("Microsoft.Web/sites")
    [service] = told["services"]
    if f"'azd-service-name': '{service}'" not in _expression(site.at("tags")):
        yield f"azure.yaml: the app is not tagged as service {service}"
    if not (INFRA / f"{told['infra']['module']}.bicep").is_file():
        yield f"azure.yaml: no infra/{told['infra']['module']}.bicep"
    for hook in told["hooks"].values():
        for shell in hook.values():
            if not (ROOT / shell["run"]).is_file():
                yield f"azure.yaml: no {shell['run']}"
    for each in bicep.resources():
        if "location" in each.one and each.at("tags") is None:
            yield f"{each.file}: {each.name} has no tags"


CHECKS: dict[str, Check] = {
    "every file is Bicep": syntax,
    "every name is declared and used": names,
    "modules get what they need": modules,
    "files that are loaded exist": loaded_files,
    "one API version a type": versions,
    "parameters agree": parameters,
    "identity, TLS, public access": secured,
    "no keys": no_keys,
    "roles: all of them, no other": roles,
    "private endpoints": endpoints,
    "loggers": loggers,
    "policies and named values": policies,
    "pools hold one kind of price": pools,
    "circuits break": breakers,
    "operations the worker knows": operations,
    "logs without bodies": diagnostics,
    "app settings are those of settings.py": app_settings,
    "settings name what is made": values,
    "customer text is deleted": lifecycle,
    "host.json and local settings": host,
    "azd": azd,
}

SKIPS = {
    "CKV_AZURE_17": "client certificates: no function answers HTTP",
    "CKV_AZURE_35": "public variant; closed by `isolated`, checked above",
    "CKV_AZURE_206": "zone-redundant; a second region is the operator's choice and price",
    "CKV_AZURE_174": "clients come from outside; private access to the gateway is the operator's network",
    "CKV_AZURE_212": "Flex Consumption scales from zero: events wait in the hub",
    "CKV_AZURE_213": "no HTTP function to ask; silence is an alert",
    "CKV_AZURE_222": "public variant; closed by `isolated`, checked above",
    "CKV_AZURE_225": "zone redundancy of Flex is a choice of region and price",
}
"""checkov's rules that do not hold here, and why."""


def faults(bicep: Bicep) -> list[str]:
    """Return every fault of every check; one that cannot even run is a fault, too."""
    found: list[str] = []
    for name, check in CHECKS.items():
        try:
            found += [f"{name}: {fault}" for fault in check(bicep)]
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            found.append(f"{name}: cannot be checked, {type(error).__name__} {error}")
    return found
