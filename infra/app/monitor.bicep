// Where charges are looked at: a workspace, Application Insights on it, what is asked of it, and alerts.
param workspaceName string
param insightsName string
param location string
param tags object
param isolated bool
param alertEmail string

@description('Days that telemetry is kept. The ledger is the truth and is kept for ever.')
param retentionDays int = 90

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionDays
    features: { disableLocalAuth: true }
    publicNetworkAccessForIngestion: isolated ? 'Disabled' : 'Enabled'
    publicNetworkAccessForQuery: 'Enabled'
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: insightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
    publicNetworkAccessForIngestion: isolated ? 'Disabled' : 'Enabled'
    publicNetworkAccessForQuery: 'Enabled'
  }
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: '${insightsName}-people'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'chargeback'
    enabled: true
    emailReceivers: [
      {
        name: 'chargeback'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

// ---- what is asked of it: the saved function, the workbook and the alerts

module functions '../queries/functions.bicep' = {
  name: 'functions'
  params: {
    workspaceName: workspace.name
  }
}

module workbook '../workbook/workbook.bicep' = {
  name: 'workbook'
  params: {
    location: location
    tags: tags
    workspaceId: workspace.id
  }
}

module alerts '../alerts/alerts.bicep' = {
  name: 'alerts'
  params: {
    location: location
    tags: tags
    workspaceId: workspace.id
    actionGroupIds: empty(alertEmail) ? [] : [people.id]
  }
}

output workspaceId string = workspace.id
output insightsId string = insights.id
output insightsName string = insights.name
output insightsConnectionString string = insights.properties.ConnectionString
