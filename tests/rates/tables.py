"""The rate table of these tests: small, whole, and free of faults and warnings."""

from chargeback.rates.load import faults, parse

BASE = """\
schema_version: 1
table_id: test
currency: USD
source: {kind: azure-retail, fetched_at: "2026-08-11T00:00:00Z"}
models:
  gpt-4o-mini@2024-07-18: {kind: chat, aliases: [gpt-4o-mini-latest]}
  gpt-4o@2024-11-20: {kind: chat}
  gpt-5.4@2026-03-05: {kind: chat, long_context_from: 272000}
  embed@1: {kind: embedding, aliases: [text-embedding-3-small]}
rates:
- model: gpt-4o-mini@2024-07-18
  deployment_type: GlobalStandard
  region: "*"
  effective_from: 2026-01-01
  effective_to: 2026-03-01T12:00:00Z
  meters:
    input_text: {price: "0.15", per: 1M tokens}
    input_cached_text: {price: "0.075", per: 1M tokens}
    output_text: {price: "0.60", per: 1M tokens}
- model: gpt-4o-mini@2024-07-18
  deployment_type: GlobalStandard
  region: "*"
  effective_from: 2026-03-01T12:00:00Z
  effective_to: null
  meters:
    input_text: {price: "0.00012", per: 1K tokens}
    input_cached_text: {price: "0.06", per: 1M tokens}
    output_text: {price: "0.48", per: 1M tokens}
- model: gpt-4o@2024-11-20
  deployment_type: DataZoneStandard
  region: [westeurope, swedencentral]
  effective_from: 2026-01-01
  meters:
    input_text: {price: "2.75", per: 1M tokens}
    input_cached_text: {same_as: input_text}
    output_text: {price: "11.00", per: 1M tokens}
- model: gpt-4o@2024-11-20
  deployment_type: DataZoneStandard
  region: [eastus]
  effective_from: 2026-01-01
  meters:
    input_text: {price: "3.438", per: 1M tokens}
    input_cached_text: {free: true, reason: promotion}
    output_text: {price: "11.00", per: 1M tokens}
- model: gpt-5.4@2026-03-05
  deployment_type: GlobalStandard
  region: "*"
  context_tier: short
  effective_from: 2026-03-05
  meters:
    input_text: {price: "2.50", per: 1M tokens}
    input_cached_text: {price: "0.25", per: 1M tokens}
    output_text: {price: "15.00", per: 1M tokens}
- model: gpt-5.4@2026-03-05
  deployment_type: GlobalStandard
  region: "*"
  context_tier: long
  effective_from: 2026-03-05
  meters:
    input_text: {price: "5.00", per: 1M tokens}
    input_cached_text: {price: "0.50", per: 1M tokens}
    output_text: {price: "22.50", per: 1M tokens}
- model: embed@1
  deployment_type: GlobalStandard
  region: "*"
  effective_from: 2026-01-01
  meters:
    input_text: {price: "0.02", per: 1M tokens}
deployments:
- {account: weu, deployment: mini, model: gpt-4o-mini@2024-07-18, deployment_type: GlobalStandard, region: westeurope, from: 2026-01-01}
- {account: eus, deployment: mini, model: gpt-4o-mini@2024-07-18, deployment_type: GlobalStandard, region: eastus, from: 2026-01-01}
- {account: weu, deployment: chat, model: gpt-4o@2024-11-20, deployment_type: DataZoneStandard, region: westeurope, from: 2026-01-01}
- {account: swe, deployment: chat, model: gpt-4o@2024-11-20, deployment_type: DataZoneStandard, region: swedencentral, from: 2026-01-01, to: 2026-06-01}
- {account: eus, deployment: chat, model: gpt-4o@2024-11-20, deployment_type: DataZoneStandard, region: eastus, from: 2026-02-01}
- {account: weu, deployment: long, model: gpt-5.4@2026-03-05, deployment_type: GlobalStandard, region: westeurope, from: 2026-03-05}
- {account: weu, deployment: ptu, model: gpt-4o@2024-11-20, deployment_type: DataZoneProvisionedManaged, region: westeurope, from: 2026-01-01, spillover_to: chat}
- {account: eus, deployment: ptu, model: gpt-4o@2024-11-20, deployment_type: DataZoneProvisionedManaged, region: eastus, from: 2026-01-01}
- {account: weu, deployment: mixed, model: gpt-4o@2024-11-20, deployment_type: DataZoneProvisionedManaged, region: westeurope, from: 2026-01-01}
- {account: eus, deployment: mixed, model: gpt-4o@2024-11-20, deployment_type: DataZoneStandard, region: eastus, from: 2026-01-01}
- {account: weu, deployment: embed, model: embed@1, deployment_type: GlobalStandard, region: westeurope, from: 2026-01-01}
defaults:
- {event_hub: hub-mini, deployment: mini}
- {event_hub: hub-any, deployment_type: GlobalStandard}
- {subscription: sub-b, event_hub: hub-any, account: weu, deployment: chat}
- {app: robot, event_hub: hub-any, deployment_type: GlobalStandard, model: gpt-4o-mini@2024-07-18}
- {app: pooled, deployment_type: GlobalProvisionedManaged, model: gpt-4o@2024-11-20}
subscriptions:
- id: sub-a
  name: Sales portal
  key_ids: [aaaa0000aaaa0000aaaa0000aaaa0000, {id: eeee0000eeee0000eeee0000eeee0000, to: 2026-02-01}]
- id: sub-b
  key_ids: [{id: eeee0000eeee0000eeee0000eeee0000, from: 2026-02-01}]
cost_centres:
- {id: CC1, name: Sales}
- {id: CC2, name: Service}
- {id: CC3}
assignments:
- {subscription: sub-a, cost_centre: CC1, to: 2026-04-01}
- {subscription: sub-a, cost_centre: CC2, from: 2026-04-01}
- {subscription: sub-a, app: robot, cost_centre: CC3}
- {app: robot, cost_centre: CC2}
- {product: gold, cost_centre: CC1}
"""

TABLE = parse(BASE, source="base.yaml")


def changed(old: str, new: str) -> str:
    """Return the base with one passage replaced; it must be there once, or a fault would test nothing."""
    assert BASE.count(old) == 1, f"{BASE.count(old)} times {old!r}"
    return BASE.replace(old, new)


def told(text: str) -> list[str]:
    return [f"{fault.severity}: {fault.told('t.yaml')}" for fault in faults(text, source="t.yaml")]
