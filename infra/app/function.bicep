// The worker on Flex Consumption. Runtime and package are part of the resource, everything else are settings.
param name string
param planName string
param location string
param tags object
param identityId string
param identityClientId string
param blobEndpoint string
param queueEndpoint string
param tableEndpoint string
param hubHost string
param hubName string
param consumerGroup string
@secure()
param insightsConnectionString string
param deadLetterDays int
param isolated bool
param subnetId string

@description('An instance bills whole batches; more memory does not make it faster, more instances do.')
param instanceMemoryMB int = 2048
param maximumInstanceCount int = 40

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'worker' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    // The worker answers nobody: no function of it has an HTTP trigger.
    publicNetworkAccess: isolated ? 'Disabled' : 'Enabled'
    virtualNetworkSubnetId: isolated ? subnetId : null
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${blobEndpoint}deployment'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      appSettings: [
        { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
        { name: 'AzureWebJobsStorage__clientId', value: identityClientId }
        { name: 'AzureWebJobsStorage__blobServiceUri', value: blobEndpoint }
        { name: 'AzureWebJobsStorage__queueServiceUri', value: queueEndpoint }
        { name: 'AzureWebJobsStorage__tableServiceUri', value: tableEndpoint }
        { name: 'AZURE_CLIENT_ID', value: identityClientId }
        { name: 'EVENT_HUB_CONNECTION__fullyQualifiedNamespace', value: hubHost }
        { name: 'EVENT_HUB_CONNECTION__credential', value: 'managedidentity' }
        { name: 'EVENT_HUB_CONNECTION__clientId', value: identityClientId }
        { name: 'EVENT_HUB_NAME', value: hubName }
        { name: 'EVENT_HUB_CONSUMER_GROUP', value: consumerGroup }
        { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insightsConnectionString }
        { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'ClientId=${identityClientId};Authorization=AAD' }
        { name: 'CHARGEBACK_RATES', value: 'rates/rates.yaml' }
        { name: 'CHARGEBACK_LEDGER', value: 'ledger' }
        { name: 'CHARGEBACK_GENERATION', value: '1' }
        { name: 'CHARGEBACK_TELEMETRY', value: 'applicationinsights' }
        { name: 'CHARGEBACK_PERSONAL', value: 'off' }
        { name: 'CHARGEBACK_TAGS', value: 'consumer,attempts' }
        { name: 'CHARGEBACK_DEAD_LETTER_DAYS', value: string(deadLetterDays) }
        { name: 'CHARGEBACK_LOG_LEVEL', value: 'INFO' }
      ]
    }
  }
}

output name string = app.name
