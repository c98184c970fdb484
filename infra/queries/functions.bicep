// The function that every question about money goes through, saved in the workspace: ChargebackCalls(since, until).
@description('Name of the Log Analytics workspace behind Application Insights.')
param workspaceName string

var library = '${loadTextContent('tables/workspace.kql')}\n${loadTextContent('functions/ChargebackRows.kql')}\n${loadTextContent('functions/ChargebackCalls.kql')}\n'

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: workspaceName
}

resource calls 'Microsoft.OperationalInsights/workspaces/savedSearches@2020-08-01' = {
  parent: workspace
  name: 'ChargebackCalls'
  properties: {
    category: 'Chargeback'
    displayName: 'Every call once, by winner and merge'
    query: '${library}ChargebackCalls(since, until)'
    functionAlias: 'ChargebackCalls'
    functionParameters: 'since:datetime, until:datetime'
    version: 2
  }
}
