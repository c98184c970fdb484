// Alert rules over the workspace. rules.json is built from infra/queries: python scripts/workbook.py
param location string
param tags object = {}

@description('Resource id of the Log Analytics workspace behind Application Insights.')
param workspaceId string

@description('Whom to tell: resource ids of action groups. Without any, alerts show in the portal only.')
param actionGroupIds array = []

@description('Names of rules that are not wanted, e.g. budget.')
param disabled array = []

var rules = loadJsonContent('rules.json')

resource alert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: 'chargeback-${rule.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Chargeback: ${rule.title}'
    description: rule.description
    severity: rule.severity
    enabled: !contains(disabled, rule.name)
    scopes: [workspaceId]
    evaluationFrequency: rule.every
    windowSize: 'PT1H'
    // The widest a rule may look; each query narrows it.
    overrideQueryTimeRange: 'P2D'
    // The tables appear with their first record; before that a checked query is refused.
    skipQueryValidation: true
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    actions: { actionGroups: actionGroupIds }
  }
}]
