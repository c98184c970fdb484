"""Every fault of a rate table, with the whole of what people read about it."""

import pytest

from chargeback.rates.faults import RateTableError
from chargeback.rates.load import parse
from tests.rates.tables import BASE, changed, told

ROW = """\
- model: {model}
  deployment_type: {type}
  region: "*"
  effective_from: 2026-01-01
  meters:
    input_text: {{price: "{price}", per: 1M tokens}}
    input_cached_text: {{price: "0.01", per: 1M tokens}}
    output_text: {{price: "0.60", per: 1M tokens}}
deployments:
"""
# what is wrong, passage of the base, its replacement, everything that is told
CASES = [
    (
        "an unknown key at the top",
        "currency: USD",
        "currency: USD\nratez: []",
        [
            "error: t.yaml:4: ratez: found an unknown key, expected one of schema_version, table_id, currency, price_basis, source, models, rates, deployments, defaults, subscriptions, cost_centres, assignments, pools, budgets, policy (did you mean 'rates'?)"
        ],
    ),
    (
        "an unknown key in a meter",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_text: {prize: "0.15", per: 1M tokens}',
        [
            "error: t.yaml:17: rates[0].meters.input_text.prize: found an unknown key, expected one of price, per, free, reason, same_as, azure_meter_id, azure_meter (did you mean 'price'?)"
        ],
    ),
    (
        "a repeated key",
        "table_id: test",
        "table_id: test\ntable_id: other",
        [
            "error: t.yaml:3: table_id: found the key 'table_id' a second time, expected each key once; line 2 has it already"
        ],
    ),
    (
        "a repeated key in a row",
        "- {id: CC3}",
        "- {id: CC3, id: CC4}",
        [
            "error: t.yaml:96: cost_centres[2].id: found the key 'id' a second time, expected each key once; line 96 has it already"
        ],
    ),
    (
        "an anchor",
        "- {id: CC3}\n",
        "- &x {id: CC3}\n",
        [
            'error: t.yaml:96: cost_centres[2]: found the YAML reference &x, expected each value written out, without anchors and aliases; a star stands in quotes: "*"'
        ],
    ),
    (
        "an alias",
        "- {product: gold, cost_centre: CC1}",
        "- &x {product: gold, cost_centre: CC1}\n- *x",
        [
            'error: t.yaml:102: assignments[4]: found the YAML reference &x, expected each value written out, without anchors and aliases; a star stands in quotes: "*"',
            'error: t.yaml:103: assignments[5]: found the YAML reference *x, expected each value written out, without anchors and aliases; a star stands in quotes: "*"',
        ],
    ),
    (
        "a tag",
        "table_id: test",
        "table_id: !!str test",
        ["error: t.yaml:2: table_id: found a YAML tag, expected plain or quoted values without tags"],
    ),
    (
        "a key that is no text",
        "- {id: CC3}\n",
        "- {id: CC3, [a]: b}\n",
        [
            "error: t.yaml:96: cost_centres[2]: found a key that is not text, expected text as key",
            'error: t.yaml:96: cost_centres[2]["?"]: found an unknown key, expected one of id, name, markups',
        ],
    ),
    (
        "a second document",
        "- {id: CC3}\n",
        "- {id: CC3}\n---\nx: 1\n",
        ["error: t.yaml:97: found a second YAML document, expected one document in a file"],
    ),
    (
        "a price without quotes",
        'input_text: {price: "0.15", per: 1M tokens}',
        "input_text: {price: 0.15, per: 1M tokens}",
        [
            'error: t.yaml:17: rates[0].meters.input_text.price: found the plain number 0.15, expected a price in quotes such as "2.50": without quotes YAML makes a rounded number of it'
        ],
    ),
    (
        "a negative price",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_text: {price: "-0.15", per: 1M tokens}',
        [
            "error: t.yaml:17: rates[0].meters.input_text.price: found '-0.15', expected a price in quotes such as \"2.50\": not below zero; a credit is a correction, not a price"
        ],
    ),
    (
        "a price that is not a number",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_text: {price: "NaN", per: 1M tokens}',
        [
            "error: t.yaml:17: rates[0].meters.input_text.price: found 'NaN', expected a price in quotes such as \"2.50\": plain decimal notation, digits and one point"
        ],
    ),
    (
        "a price in scientific notation",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_text: {price: "1e-7", per: 1M tokens}',
        [
            "error: t.yaml:17: rates[0].meters.input_text.price: found '1e-7', expected a price in quotes such as \"2.50\": plain decimal notation, digits and one point"
        ],
    ),
    (
        "a price with a comma",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_text: {price: "0,15", per: 1M tokens}',
        [
            "error: t.yaml:17: rates[0].meters.input_text.price: found '0,15', expected a price in quotes such as \"2.50\": plain decimal notation, digits and one point"
        ],
    ),
    (
        "a price of too many digits",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_text: {price: "0.1234567890123", per: 1M tokens}',
        [
            "error: t.yaml:17: rates[0].meters.input_text.price: found '0.1234567890123', expected at most 9 digits before the point and 12 behind it"
        ],
    ),
    (
        "a price of zero",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_text: {price: "0.00", per: 1M tokens}',
        [
            "error: t.yaml:17: rates[0].meters.input_text.price: found '0.00', expected a price above zero; what costs nothing is written {free: true, reason: ...}"
        ],
    ),
    (
        "a price that is a list",
        'input_text: {price: "0.15", per: 1M tokens}',
        "input_text: {price: [], per: 1M tokens}",
        [
            'error: t.yaml:17: rates[0].meters.input_text.price: found a list, expected a price in quotes such as "2.50"'
        ],
    ),
    (
        "a price without its unit",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_text: {price: "0.15"}',
        [
            "error: t.yaml:17: rates[0].meters.input_text: found the keys: price, expected exactly one form: price with per, free with reason, or same_as"
        ],
    ),
    (
        "free without a reason",
        "{free: true, reason: promotion}",
        "{free: true}",
        [
            "error: t.yaml:43: rates[3].meters.input_cached_text: found the keys: free, expected exactly one form: price with per, free with reason, or same_as"
        ],
    ),
    (
        "free that is not true",
        "{free: true, reason: promotion}",
        "{free: yes, reason: promotion}",
        [
            "error: t.yaml:43: rates[3].meters.input_cached_text.free: found 'yes', expected true; leave the key out otherwise"
        ],
    ),
    (
        "an unknown unit",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_text: {price: "0.15", per: 1M token}',
        [
            "error: t.yaml:17: rates[0].meters.input_text.per: found '1M token', expected one of 1K tokens, 1M tokens, 1 token, 1 hour, 1 second, 1 character, 1K characters, 1M characters, 1, 100, 1K (did you mean '1M tokens'?)"
        ],
    ),
    (
        "an unknown meter",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_txt: {price: "0.15", per: 1M tokens}',
        [
            "error: t.yaml:17: rates[0].meters.input_txt: found 'input_txt', expected one of input_text, input_cached_text, cache_write_text, output_text, input_audio, input_cached_audio, output_audio, input_image, input_cached_image, output_image, hosting_hour, audio_hour, audio_second, video_second, characters, image_each, code_interpreter_each, file_search_each (did you mean 'input_text'?)"
        ],
    ),
    (
        "an unknown currency",
        "currency: USD",
        "currency: UDS",
        ["error: t.yaml:3: currency: found 'UDS', expected an ISO 4217 code such as USD or EUR"],
    ),
    (
        "no currency",
        "currency: USD\n",
        "",
        [
            "error: t.yaml:1: currency: found nothing, expected the required key 'currency': ISO 4217 code, the one of all prices"
        ],
    ),
    (
        "a naive instant",
        "2026-03-01T12:00:00Z\n  effective_to",
        "2026-03-01T12:00:00\n  effective_to",
        [
            "error: t.yaml:23: rates[1].effective_from: found '2026-03-01T12:00:00', expected a date such as 2026-01-01 (midnight UTC) or an instant with its zone such as 2026-01-01T12:00:00Z"
        ],
    ),
    (
        "a day that does not exist",
        'fetched_at: "2026-08-11T00:00:00Z"',
        "fetched_at: 2026-02-30",
        ["error: t.yaml:4: source.fetched_at: found '2026-02-30', expected a day and time that exist"],
    ),
    (
        "a time that is no time",
        'fetched_at: "2026-08-11T00:00:00Z"',
        "fetched_at: yesterday",
        [
            "error: t.yaml:4: source.fetched_at: found 'yesterday', expected a date such as 2026-01-01 (midnight UTC) or an instant with its zone such as 2026-01-01T12:00:00Z"
        ],
    ),
    (
        "an instant before the calendar",
        'fetched_at: "2026-08-11T00:00:00Z"',
        "fetched_at: 0001-01-01T00:00:00+10:00",
        [
            "error: t.yaml:4: source.fetched_at: found '0001-01-01T00:00:00+10:00', expected a day and time that exist"
        ],
    ),
    (
        "an unknown deployment type",
        "deployment_type: GlobalStandard, region: westeurope, from: 2026-03-05",
        "deployment_type: GlobalStd, region: westeurope, from: 2026-03-05",
        [
            "error: t.yaml:75: deployments[5].deployment_type: found 'GlobalStd', expected one of GlobalStandard, DataZoneStandard, Standard, GlobalBatch, DataZoneBatch, Developer, GlobalProvisionedManaged, DataZoneProvisionedManaged, ProvisionedManaged (did you mean 'GlobalStandard'?)"
        ],
    ),
    (
        "an unknown kind of model",
        "embed@1: {kind: embedding",
        "embed@1: {kind: embeding",
        [
            "error: t.yaml:9: models[\"embed@1\"].kind: found 'embeding', expected one of chat, chat_audio, realtime, completion, embedding, transcription, speech, image, video, other (did you mean 'embedding'?)"
        ],
    ),
    (
        "a model without version",
        "embed@1: {kind",
        "embed: {kind",
        ["error: t.yaml:9: models.embed: found 'embed', expected name@version, such as gpt-4o@2024-11-20"],
    ),
    (
        "a region that is text",
        "region: [eastus]\n",
        "region: eastus\n",
        [
            "error: t.yaml:39: rates[3].region: found 'eastus', expected \"*\" for all regions, or a list such as [eastus, westeurope]"
        ],
    ),
    (
        "no region at all",
        "region: [eastus]\n",
        "region: []\n",
        [
            'error: t.yaml:39: rates[3].region: found a list, expected "*" for all regions, or a list such as [eastus, westeurope]'
        ],
    ),
    (
        "a region with its long name",
        "region: [eastus]\n",
        "region: [East US]\n",
        [
            "error: t.yaml:39: rates[3].region[0]: found 'East US', expected a region's short name, such as westeurope"
        ],
    ),
    (
        "a count that is no count",
        "long_context_from: 272000",
        "long_context_from: 272k",
        [
            "error: t.yaml:8: models[\"gpt-5.4@2026-03-05\"].long_context_from: found '272k', expected a whole number above zero"
        ],
    ),
    (
        "a missing key",
        "{account: weu, deployment: embed, model",
        "{deployment: embed, model",
        [
            "error: t.yaml:80: deployments[10].account: found nothing, expected the required key 'account': name of the Azure OpenAI resource"
        ],
    ),
    (
        "a missing from",
        "region: westeurope, from: 2026-03-05}",
        "region: westeurope}",
        [
            "error: t.yaml:75: deployments[5].from: found nothing, expected the required key 'from': first instant, UTC, inclusive"
        ],
    ),
    (
        "a section that is a mapping",
        "cost_centres:\n- {id: CC1, name: Sales}\n- {id: CC2, name: Service}\n- {id: CC3}\n",
        "cost_centres: {}\n",
        ["error: t.yaml:93: cost_centres: found a mapping, expected a list"],
    ),
    (
        "a row that is text",
        "- {id: CC3}",
        "- CC3",
        ["error: t.yaml:96: cost_centres[2]: found 'CC3', expected a mapping"],
    ),
    (
        "an empty name",
        "- {id: CC3}",
        '- {id: ""}',
        ["error: t.yaml:96: cost_centres[2].id: found '', expected text that is not empty"],
    ),
    (
        "a null name",
        "- {id: CC3}",
        "- {id: null}",
        ["error: t.yaml:96: cost_centres[2].id: found nothing (null), expected text"],
    ),
    (
        "a name with blanks",
        "- {id: CC3}",
        '- {id: "CC3 "}',
        [
            "error: t.yaml:96: cost_centres[2].id: found 'CC3 ', expected text without blanks at its ends and control characters"
        ],
    ),
    (
        "no meters",
        '  meters:\n    input_text: {price: "0.02", per: 1M tokens}',
        "  meters: {}",
        ["error: t.yaml:67: rates[6].meters: found a mapping, expected at least one entry"],
    ),
    (
        "another schema version",
        "schema_version: 1",
        "schema_version: 2",
        ["error: t.yaml:1: schema_version: found the plain number 2, expected one of 1"],
    ),
    (
        "a key id that is a list",
        "key_ids: [aaaa0000aaaa0000aaaa0000aaaa0000,",
        "key_ids: [[aaaa0000aaaa0000aaaa0000aaaa0000],",
        [
            "error: t.yaml:90: subscriptions[0].key_ids[0]: found a list, expected a key id, or {id: ..., from: ..., to: ...}"
        ],
    ),
    (
        "a key id that is blank",
        "key_ids: [aaaa0000aaaa0000aaaa0000aaaa0000,",
        'key_ids: [" aaaa0000aaaa0000aaaa0000aaaa0000",',
        [
            "error: t.yaml:90: subscriptions[0].key_ids[0].id: found text of 33 characters, expected text without blanks at its ends and control characters"
        ],
    ),
    (
        "a default of two forms",
        "deployment: mini}\n- {event_hub: hub-any, d",
        "deployment: mini, deployment_type: GlobalStandard}\n- {event_hub: hub-any, d",
        [
            "error: t.yaml:82: defaults[0]: found the keys: deployment, deployment_type, event_hub, expected either deployment (and account), or deployment_type (and region, model)"
        ],
    ),
    (
        "a default without offer",
        "{event_hub: hub-mini, deployment: mini}",
        "{event_hub: hub-mini}",
        [
            "error: t.yaml:82: defaults[0]: found the keys: event_hub, expected either deployment (and account), or deployment_type (and region, model)"
        ],
    ),
    (
        "a default with a region alone",
        "{event_hub: hub-mini, deployment: mini}",
        "{event_hub: hub-mini, region: eastus}",
        [
            "error: t.yaml:82: defaults[0]: found the keys: event_hub, region, expected deployment_type beside region or model"
        ],
    ),
    (
        "an assignment of nobody",
        "{product: gold, cost_centre: CC1}",
        "{cost_centre: CC1}",
        [
            "error: t.yaml:102: assignments[4]: found the keys: cost_centre, expected subscription, app, both, or product or tag alone"
        ],
    ),
    (
        "an assignment of product and app",
        "{product: gold, cost_centre: CC1}",
        "{product: gold, app: a, cost_centre: CC1}",
        [
            "error: t.yaml:102: assignments[4]: found the keys: app, cost_centre, product, expected subscription, app, both, or product or tag alone"
        ],
    ),
    (
        "a billable status of letters",
        "- {id: CC3}\n",
        "- {id: CC3}\npolicy: {billable_status: [ok]}\n",
        [
            "error: t.yaml:97: policy.billable_status[0]: found 'ok', expected a status such as 2xx, 408 or 400:content_filter"
        ],
    ),
    (
        "a policy for the cache that is unknown",
        "- {id: CC3}\n",
        "- {id: CC3}\npolicy: {cache_split_unknown: cached}\n",
        [
            "error: t.yaml:97: policy.cache_split_unknown: found 'cached', expected one of uncached, unpriced (did you mean 'uncached'?)"
        ],
    ),
    (
        "a rate that ends before it starts",
        "effective_from: 2026-01-01\n  effective_to: 2026-03-01T12:00:00Z",
        "effective_from: 2026-03-02\n  effective_to: 2026-03-01T12:00:00Z",
        [
            "error: t.yaml:11: rates[0]: found 2026-03-02 to 2026-03-01T12:00:00Z, expected an end after the start"
        ],
    ),
    (
        "a deployment that ends when it starts",
        "from: 2026-01-01, to: 2026-06-01",
        "from: 2026-06-01, to: 2026-06-01",
        ["error: t.yaml:73: deployments[3]: found 2026-06-01 to 2026-06-01, expected an end after the start"],
    ),
    (
        "rates that overlap",
        "effective_to: 2026-03-01T12:00:00Z",
        "effective_to: 2026-03-01T12:00:01Z",
        [
            "error: t.yaml:20: rates[1]: found 2026-03-01T12:00:00Z to open end, expected one price at a time for the same model, type, region and tiers; rates[0] has 2026-01-01 to 2026-03-01T12:00:01Z"
        ],
    ),
    (
        "rates repeated",
        "effective_from: 2026-03-01T12:00:00Z",
        "effective_from: 2026-01-01",
        [
            "error: t.yaml:20: rates[1]: found 2026-01-01 to open end, expected one price at a time for the same model, type, region and tiers; rates[0] has 2026-01-01 to 2026-03-01T12:00:00Z"
        ],
    ),
    (
        "a gap between rates",
        "effective_to: 2026-03-01T12:00:00Z",
        "effective_to: 2026-03-01",
        [
            "error: t.yaml:20: rates[1]: found 2026-03-01T12:00:00Z to open end, expected no gap: rates[0] of the same key ends 2026-03-01"
        ],
    ),
    (
        "regions that overlap",
        "region: [eastus]",
        "region: [eastus, westeurope, swedencentral]",
        [
            "error: t.yaml:37: rates[3]: found 2026-01-01 to open end, expected one price at a time for the same model, type, region and tiers; rates[2] has 2026-01-01 to open end"
        ],
    ),
    (
        "a deployment twice",
        "account: eus, deployment: mini",
        "account: WEU, deployment: mini",
        [
            "error: t.yaml:71: deployments[1]: found 2026-01-01 to open end, expected one meaning at a time for an account and deployment; deployments[0] has 2026-01-01 to open end"
        ],
    ),
    (
        "a default twice",
        "- {app: robot, event_hub: hub-any, d",
        "- {event_hub: HUB-any, d",
        [
            "error: t.yaml:85: defaults[3]: found always to open end, expected one default at a time for the same hub, subscription and app; defaults[1] has always to open end"
        ],
    ),
    (
        "a key of two subscriptions",
        "- id: sub-b\n  key_ids: [{id: eeee0000eeee0000eeee0000eeee0000, from: 2026-02-01}]",
        "- id: sub-b\n  key_ids: [eeee0000eeee0000eeee0000eeee0000]",
        [
            "error: t.yaml:92: subscriptions[1].key_ids[0]: found always to open end, expected one subscription at a time for a key id; subscriptions[0].key_ids[1] has always to 2026-02-01"
        ],
    ),
    (
        "a subscription in two cost centres",
        "cost_centre: CC1, to: 2026-04-01",
        "cost_centre: CC1, to: 2026-04-02",
        [
            "error: t.yaml:99: assignments[1]: found 2026-04-01 to open end, expected one cost centre at a time for the same subscription, app, product or tag; assignments[0] has always to 2026-04-02"
        ],
    ),
    (
        "an unknown model of a rate",
        "- model: embed@1",
        "- model: embad@1",
        [
            "error: t.yaml:63: rates[6].model: found 'embad@1', expected a key of models (did you mean 'embed@1'?)"
        ],
    ),
    (
        "an unknown model of a deployment",
        "deployment: embed, model: embed@1",
        "deployment: embed, model: embad@1",
        [
            "error: t.yaml:80: deployments[10].model: found 'embad@1', expected a key of models (did you mean 'embed@1'?)"
        ],
    ),
    (
        "an unknown model of a default",
        "deployment_type: GlobalStandard, model: gpt-4o-mini@2024-07-18}\n- {app: pooled",
        "deployment_type: GlobalStandard, model: gpt-4o-mini@2024-07-19}\n- {app: pooled",
        [
            "error: t.yaml:85: defaults[3].model: found 'gpt-4o-mini@2024-07-19', expected a key of models (did you mean 'gpt-4o-mini@2024-07-18'?)"
        ],
    ),
    (
        "an unknown cost centre",
        "{product: gold, cost_centre: CC1}",
        "{product: gold, cost_centre: CC4}",
        ["error: t.yaml:102: assignments[4].cost_centre: found 'CC4', expected an id of cost_centres"],
    ),
    (
        "an unknown centre for the rest",
        "- {id: CC3}\n",
        "- {id: CC3}\npolicy: {unallocated: REST}\n",
        ["error: t.yaml:97: policy.unallocated: found 'REST', expected an id of cost_centres"],
    ),
    (
        "an unknown deployment of a default",
        "account: weu, deployment: chat}\n",
        "account: weu, deployment: chatt}\n",
        [
            "error: t.yaml:84: defaults[2].deployment: found 'chatt', expected a deployment of deployments in account 'weu' (did you mean 'chat'?)"
        ],
    ),
    (
        "a deployment in another account",
        "{event_hub: hub-mini, deployment: mini}",
        "{event_hub: hub-mini, account: swe, deployment: mini}",
        [
            "error: t.yaml:82: defaults[0].deployment: found 'mini', expected a deployment of deployments in account 'swe' (did you mean 'mini'?)"
        ],
    ),
    (
        "a cost centre twice",
        "- {id: CC3}",
        "- {id: CC2}",
        [
            "error: t.yaml:96: cost_centres[2].id: found 'CC2', expected each id once; cost_centres[1] has it",
            "error: t.yaml:100: assignments[2].cost_centre: found 'CC3', expected an id of cost_centres",
        ],
    ),
    (
        "a name of two models",
        "aliases: [text-embedding-3-small]",
        "aliases: [GPT-4o-2024-11-20]",
        [
            'error: t.yaml:9: models["embed@1"]: found the name \'gpt-4o-2024-11-20\', expected a name of one model only; models["gpt-4o@2024-11-20"] has it'
        ],
    ),
    (
        "spillover from a standard deployment",
        "deployment_type: GlobalStandard, region: westeurope, from: 2026-03-05}",
        "deployment_type: GlobalStandard, region: westeurope, from: 2026-03-05, spillover_to: chat}",
        [
            "error: t.yaml:75: deployments[5].spillover_to: found 'chat', a DataZoneStandard, expected no spillover: only a provisioned deployment spills over, this is GlobalStandard"
        ],
    ),
    (
        "spillover to nowhere",
        "spillover_to: chat",
        "spillover_to: chad",
        [
            "error: t.yaml:76: deployments[6].spillover_to: found 'chad', expected a DataZoneStandard deployment of the same account"
        ],
    ),
    (
        "spillover to another scope",
        "spillover_to: chat",
        "spillover_to: mini",
        [
            "error: t.yaml:76: deployments[6].spillover_to: found 'mini', a GlobalStandard, expected a DataZoneStandard deployment of the same account"
        ],
    ),
    (
        "spillover to a provisioned deployment",
        "spillover_to: chat",
        "spillover_to: mixed",
        [
            "error: t.yaml:76: deployments[6].spillover_to: found 'mixed', a DataZoneProvisionedManaged, expected a DataZoneStandard deployment of the same account"
        ],
    ),
    (
        "a subscription that is nearly known",
        "{subscription: sub-a, app: robot",
        "{subscription: sub_a, app: robot",
        [
            "warning: t.yaml:100: assignments[2].subscription: found 'sub_a', expected an id of subscriptions (did you mean 'sub-a'?)"
        ],
    ),
    (
        "a unit of another dimension",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_text: {price: "0.15", per: 1 hour}',
        [
            "error: t.yaml:17: rates[0].meters.input_text.per: found '1 hour', expected a unit of tokens: one of '1K tokens', '1M tokens', '1 token'"
        ],
    ),
    (
        "same_as a meter that is not there",
        "{same_as: input_text}",
        "{same_as: output_audio}",
        [
            "error: t.yaml:35: rates[2].meters.input_cached_text.same_as: found 'output_audio', expected a tokens meter of this row that has its own price or is free"
        ],
    ),
    (
        "same_as itself",
        "{same_as: input_text}",
        "{same_as: input_cached_text}",
        [
            "error: t.yaml:35: rates[2].meters.input_cached_text.same_as: found 'input_cached_text', expected a tokens meter of this row that has its own price or is free"
        ],
    ),
    (
        "a chat model without output",
        '    output_text: {price: "0.60", per: 1M tokens}\n',
        "",
        [
            "error: t.yaml:16: rates[0].meters.output_text: found nothing, expected a price, as the model is of kind chat"
        ],
    ),
    (
        "a chat model without cached input",
        '    input_cached_text: {price: "0.075", per: 1M tokens}\n',
        "",
        [
            "error: t.yaml:16: rates[0].meters.input_cached_text: found nothing, expected a price, as the model is of kind chat; without a discount write {same_as: input_text}"
        ],
    ),
    (
        "a realtime model without audio",
        "embed@1: {kind: embedding",
        "embed@1: {kind: realtime",
        [
            "error: t.yaml:67: rates[6].meters.output_text: found nothing, expected a price, as the model is of kind realtime",
            "error: t.yaml:67: rates[6].meters.input_audio: found nothing, expected a price, as the model is of kind realtime",
            "error: t.yaml:67: rates[6].meters.output_audio: found nothing, expected a price, as the model is of kind realtime",
        ],
    ),
    (
        "output priced per 1K beside input per 1M",
        'output_text: {price: "0.60", per: 1M tokens}',
        'output_text: {price: "0.60", per: 1K tokens}',
        [
            "error: t.yaml:19: rates[0].meters.output_text: found 4000 times the price of input_text, expected between 1/10 and 100 times; is one of them per 1K tokens and the other per 1M?",
            "error: t.yaml:19: rates[0].meters.output_text: found 1250 times the price of rates[1].meters.output_text, expected prices of one model's meter within 100 times of each other; is one per 1K and one per 1M?",
        ],
    ),
    (
        "input priced per 1K beside output per 1M",
        'input_text: {price: "0.15", per: 1M tokens}',
        'input_text: {price: "0.15", per: 1K tokens}',
        [
            "error: t.yaml:17: rates[0].meters.input_text: found 1250 times the price of rates[1].meters.input_text, expected prices of one model's meter within 100 times of each other; is one per 1K and one per 1M?",
            "error: t.yaml:18: rates[0].meters.input_cached_text: found 0.0005 times the price of input_text, expected between 1/1000 and 10 times; is one of them per 1K tokens and the other per 1M?",
            "error: t.yaml:19: rates[0].meters.output_text: found 0.004 times the price of input_text, expected between 1/10 and 100 times; is one of them per 1K tokens and the other per 1M?",
        ],
    ),
    (
        "a context tier without threshold",
        "gpt-5.4@2026-03-05: {kind: chat, long_context_from: 272000}",
        "gpt-5.4@2026-03-05: {kind: chat}",
        [
            "error: t.yaml:48: rates[4].context_tier: found 'short', expected \"*\", or long_context_from on the model 'gpt-5.4@2026-03-05'",
            "error: t.yaml:57: rates[5].context_tier: found 'long', expected \"*\", or long_context_from on the model 'gpt-5.4@2026-03-05'",
        ],
    ),
    (
        "cached input dearer than input",
        'input_cached_text: {price: "0.25", per',
        'input_cached_text: {price: "2.51", per',
        [
            "warning: t.yaml:52: rates[4].meters.input_cached_text: found a price above that of uncached input, expected cached input to cost at most as much"
        ],
    ),
    (
        "no source",
        'source: {kind: azure-retail, fetched_at: "2026-08-11T00:00:00Z"}\n',
        "",
        [
            "warning: t.yaml:1: source: found nothing, expected where the prices come from: {kind: ..., fetched_at: ...}"
        ],
    ),
    (
        "a deployment older than its rate",
        "deployment: embed, model: embed@1, deployment_type: GlobalStandard, region: westeurope, from: 2026-01-01",
        "deployment: embed, model: embed@1, deployment_type: GlobalStandard, region: westeurope, from: 2025-12-31",
        [
            "error: t.yaml:80: deployments[10]: found no rate for embed@1 GlobalStandard in westeurope at 2025-12-31, expected a rate of service tier default at every moment of the deployment's life"
        ],
    ),
    (
        "a region without rate",
        "account: swe, deployment: chat, model: gpt-4o@2024-11-20, deployment_type: DataZoneStandard, region: swedencentral",
        "account: swe, deployment: chat, model: gpt-4o@2024-11-20, deployment_type: DataZoneStandard, region: norwayeast",
        [
            "error: t.yaml:73: deployments[3]: found no rate for gpt-4o@2024-11-20 DataZoneStandard in norwayeast at 2026-01-01, expected a rate of service tier default at every moment of the deployment's life"
        ],
    ),
    (
        "a rate of the long context missing",
        "context_tier: short",
        "context_tier: long\n  service_tier: priority",
        [
            "error: t.yaml:76: deployments[5]: found no rate for gpt-5.4@2026-03-05 GlobalStandard in westeurope at 2026-03-05, expected a rate of service tier default at every moment of the deployment's life"
        ],
    ),
    (
        "a default without rate",
        "- {event_hub: hub-any, deployment_type: GlobalStandard}",
        "- {event_hub: hub-any, deployment_type: Standard}",
        [
            "error: t.yaml:83: defaults[1]: found no rate for any model Standard in any region, expected a rate that the default can lead to"
        ],
    ),
    (
        "a star among regions",
        "region: [eastus]",
        'region: [eastus, "*"]',
        [
            'error: t.yaml:39: rates[3].region: found a list with "*" among others, expected "*" alone, or names only'
        ],
    ),
    (
        "a star over a price that varies by region",
        "deployments:\n",
        '- model: embed@1\n  deployment_type: GlobalStandard\n  region: [eastus, westus]\n  effective_from: 2026-02-01\n  meters: {input_text: {price: "0.022", per: 1M tokens}}\ndeployments:\n',
        [
            'error: t.yaml:65: rates[6].region: found "*", and another price of input_text in eastus, westus (rates[7]), expected the regions that have this price, by name'
        ],
    ),
    (
        "a second currency",
        "  region: [eastus]\n",
        "  region: [eastus]\n  currency: EUR\n",
        [
            "error: t.yaml:40: rates[3].currency: found an unknown key, expected one of model, deployment_type, region, service_tier, context_tier, effective_from, effective_to, meters, source"
        ],
    ),
    (
        "an alias that is another model's name",
        "aliases: [text-embedding-3-small]",
        "aliases: [gpt-4o-mini-latest]",
        [
            'error: t.yaml:9: models["embed@1"]: found the name \'gpt-4o-mini-latest\', expected a name of one model only; models["gpt-4o-mini@2024-07-18"] has it'
        ],
    ),
    (
        "same_as a meter that is the same as another",
        '    output_text: {price: "11.00", per: 1M tokens}\n- model: gpt-4o@2024-11-20\n  deployment_type: DataZoneStandard\n  region: [eastus]',
        "    output_text: {same_as: input_cached_text}\n- model: gpt-4o@2024-11-20\n  deployment_type: DataZoneStandard\n  region: [eastus]",
        [
            "error: t.yaml:36: rates[2].meters.output_text.same_as: found 'input_cached_text', expected a tokens meter of this row that has its own price or is free"
        ],
    ),
    (
        "a model that bills cache writes without a price for them",
        "embed@1: {kind: embedding, aliases: [text-embedding-3-small]}\nrates:\n",
        'embed@1: {kind: embedding, aliases: [text-embedding-3-small]}\n  gpt-5.6-luna@2026-07-09: {kind: chat}\nrates:\n- model: gpt-5.6-luna@2026-07-09\n  deployment_type: GlobalStandard\n  region: "*"\n  effective_from: 2026-07-09\n  meters: {input_text: {price: "1", per: 1M tokens}, input_cached_text: {price: "0.1", per: 1M tokens}, output_text: {price: "6", per: 1M tokens}}\n',
        [
            "error: t.yaml:16: rates[0].meters.cache_write_text: found nothing, expected a price: models from gpt-5.6 on bill cache writes, at about 1.25 times the input"
        ],
    ),
    (
        "a weight without quotes",
        "gpt-4o@2024-11-20: {kind: chat}",
        "gpt-4o@2024-11-20: {kind: chat, ptu_output_weight: 4}",
        [
            'error: t.yaml:7: models["gpt-4o@2024-11-20"].ptu_output_weight: found the plain number 4, expected a number in quotes such as "4"'
        ],
    ),
    (
        "a weight in scientific notation",
        "gpt-4o@2024-11-20: {kind: chat}",
        'gpt-4o@2024-11-20: {kind: chat, ptu_output_weight: "1e9"}',
        [
            'error: t.yaml:7: models["gpt-4o@2024-11-20"].ptu_output_weight: found \'1e9\', expected a number in quotes such as "4"'
        ],
    ),
    (
        "a time that is a list",
        'fetched_at: "2026-08-11T00:00:00Z"',
        "fetched_at: [2026-08-11]",
        [
            "error: t.yaml:4: source.fetched_at: found a list, expected a date such as 2026-01-01 (midnight UTC) or an instant with its zone such as 2026-01-01T12:00:00Z"
        ],
    ),
    (
        "a whole rate per 1K",
        '    input_text: {price: "0.00012", per: 1K tokens}\n    input_cached_text: {price: "0.06", per: 1M tokens}\n    output_text: {price: "0.48", per: 1M tokens}',
        '    input_text: {price: "0.12", per: 1K tokens}\n    input_cached_text: {price: "0.06", per: 1K tokens}\n    output_text: {price: "0.48", per: 1K tokens}',
        [
            "error: t.yaml:26: rates[1].meters.input_text: found 800 times the price of rates[0].meters.input_text, expected prices of one model's meter within 100 times of each other; is one per 1K and one per 1M?",
            "error: t.yaml:27: rates[1].meters.input_cached_text: found 800 times the price of rates[0].meters.input_cached_text, expected prices of one model's meter within 100 times of each other; is one per 1K and one per 1M?",
            "error: t.yaml:28: rates[1].meters.output_text: found 800 times the price of rates[0].meters.output_text, expected prices of one model's meter within 100 times of each other; is one per 1K and one per 1M?",
        ],
    ),
    (
        "a batch rate dearer than standard",
        "deployments:\n",
        '- model: gpt-4o-mini@2024-07-18\n  deployment_type: GlobalBatch\n  region: "*"\n  effective_from: 2026-01-01\n  meters:\n    input_text: {price: "0.16", per: 1M tokens}\n    input_cached_text: {price: "0.01", per: 1M tokens}\n    output_text: {price: "0.60", per: 1M tokens}\ndeployments:\n',
        [
            "warning: t.yaml:74: rates[7].meters.input_text: found a price that is above that of rates[0], expected GlobalBatch to cost at most as much as GlobalStandard",
            "warning: t.yaml:74: rates[7].meters.input_text: found a price that is above that of rates[1], expected GlobalBatch to cost at most as much as GlobalStandard",
            "warning: t.yaml:76: rates[7].meters.output_text: found a price that is above that of rates[1], expected GlobalBatch to cost at most as much as GlobalStandard",
        ],
    ),
    (
        "a data zone rate cheaper than global",
        "deployments:\n",
        '- model: gpt-4o-mini@2024-07-18\n  deployment_type: DataZoneStandard\n  region: "*"\n  effective_from: 2026-01-01\n  meters:\n    input_text: {price: "0.14", per: 1M tokens}\n    input_cached_text: {price: "0.01", per: 1M tokens}\n    output_text: {price: "0.60", per: 1M tokens}\ndeployments:\n',
        [
            "warning: t.yaml:74: rates[7].meters.input_text: found a price that is below that of rates[0], expected DataZoneStandard to cost at least as much as GlobalStandard",
            "warning: t.yaml:75: rates[7].meters.input_cached_text: found a price that is below that of rates[0], expected DataZoneStandard to cost at least as much as GlobalStandard",
            "warning: t.yaml:75: rates[7].meters.input_cached_text: found a price that is below that of rates[1], expected DataZoneStandard to cost at least as much as GlobalStandard",
        ],
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_fault_is_told_with_place_value_and_expectation(old, new, expected):
    assert told(changed(old, new)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_errors_stop_the_load_and_warnings_do_not(old, new, expected):
    text = changed(old, new)
    if all(line.startswith("warning") for line in expected):
        assert parse(text, source="t.yaml").currency == "USD"
        return
    with pytest.raises(RateTableError) as stopped:
        parse(text, source="t.yaml")

    for line in expected:
        severity, _, message = line.partition(": ")
        assert (message in str(stopped.value)) is (severity == "error")


def test_the_base_has_neither_errors_nor_warnings():
    assert told(BASE) == []


def test_a_weight_in_quotes_is_no_fault():
    weighed = 'gpt-4o@2024-11-20: {kind: chat, ptu_output_weight: "4"}'

    assert told(changed("gpt-4o@2024-11-20: {kind: chat}", weighed)) == []


def test_a_subscription_that_is_not_listed_is_no_fault():
    assert told(changed("{subscription: sub-a, app: robot", "{subscription: portal, app: robot")) == []


def test_models_from_gpt_5_6_on_need_a_price_for_cache_writes():
    model = "  gpt-5.6-luna@2026-07-01: {kind: chat}\nrates:\n"
    row = ROW.format(model="gpt-5.6-luna@2026-07-01", type="GlobalStandard", price="0.15")
    text = changed("rates:\n", model).replace("deployments:\n", row)

    place = "t.yaml:74: rates[7].meters.cache_write_text"
    expected = "a price: models from gpt-5.6 on bill cache writes, at about 1.25 times the input"
    assert told(text) == [f"error: {place}: found nothing, expected {expected}"]
    assert told(text.replace("gpt-5.6-luna", "gpt-5.5-luna")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "error: t.yaml:1: found nothing, expected a mapping with"),
        ("# only a comment\n", "error: t.yaml:1: found nothing, expected a mapping with"),
        ("null", "error: t.yaml:1: found nothing, expected a mapping with"),
        ("- a\n", "error: t.yaml:1: found a list, expected a mapping with"),
        ("text", "error: t.yaml:1: found text, expected a mapping with"),
        ('a: "b', "error: t.yaml:1: found broken YAML ("),
        ("a: *\n", "error: t.yaml:1: found broken YAML ("),
        ("a: \x07", "error: t.yaml:1: found a character that YAML forbids"),
        ("a: \ud800", "error: t.yaml:1: found a character that YAML forbids"),
        ("a: " + "[" * 500, "error: t.yaml:1: a: found values nested 21 deep, expected at most 20"),
        ("? " * 500, "found values nested 21 deep, expected at most 20"),
    ],
)
def test_what_is_no_mapping_is_told_and_not_guessed(text, expected):
    assert expected in "\n".join(told(text))


def test_everything_is_told_at_once_in_the_order_of_the_file():
    """One wrong price, one unknown key, one unknown cost centre: three lines, no consequences of any."""
    text = (
        changed('"2.75"', "2.75").replace("{id: CC1, name", "{id: CC1, nmae").replace("table_id", "tableid")
    )

    assert [line.split(": ")[2] for line in told(text)] == [
        "table_id",
        "tableid",
        "rates[2].meters.input_text.price",
        "cost_centres[0].nmae",
    ]
    with pytest.raises(RateTableError, match=r"^t\.yaml: the rate table has 4 faults; correct all of them"):
        parse(text, source="t.yaml")


def test_a_broken_section_does_not_hide_the_faults_of_others():
    text = changed('"2.75"', "2.75").replace("- {id: CC3}", "- {id: CC4}")

    assert [line.split(": ")[2] for line in told(text)] == [
        "rates[2].meters.input_text.price",
        "assignments[2].cost_centre",
    ]


def test_a_key_is_never_repeated_in_a_message():
    """Somebody may paste a subscription key where its pseudonym belongs."""
    key = "0123456789abcdef0123456789abcdef"
    for bad in (f'" {key}"', f"[{key}]", f"{{id: {key}, form: 2026-01-01}}", f"{{id: [{key}]}}"):
        lines = told(changed("aaaa0000aaaa0000aaaa0000aaaa0000", bad))
        assert lines
        assert key not in "\n".join(lines)
