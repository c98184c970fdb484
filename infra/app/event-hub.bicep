// The hub between gateway and worker. Partitions cannot be added later in the Standard tier.
param name string
param location string
param tags object
param isolated bool
param allowHubKeys bool
param captureEvents bool
param storageId string
param identityId string

@description('Days that events wait for a worker that is down. Standard keeps seven at most.')
param retentionDays int = 7

@description('Partitions bound how many workers bill at a time; 4 are enough for about 4 MB a second.')
param partitions int = 4

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'Standard'
    tier: 'Standard'
    capacity: 1
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    // Keys off. The one reason to turn them on is the LLM log, see the parameter.
    disableLocalAuth: !allowHubKeys
    minimumTlsVersion: '1.2'
    publicNetworkAccess: isolated ? 'Disabled' : 'Enabled'
    isAutoInflateEnabled: true
    maximumThroughputUnits: 10
  }
}

resource rules 'Microsoft.EventHub/namespaces/networkRuleSets@2024-01-01' = if (isolated) {
  parent: namespace
  name: 'default'
  properties: {
    publicNetworkAccess: 'Disabled'
    defaultAction: 'Deny'
    trustedServiceAccessEnabled: true
  }
}

resource hub 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: namespace
  name: 'usage'
  properties: {
    partitionCount: partitions
    retentionDescription: {
      cleanupPolicy: 'Delete'
      retentionTimeInHours: retentionDays * 24
    }
    captureDescription: captureEvents ? {
      enabled: true
      encoding: 'Avro'
      intervalInSeconds: 300
      sizeLimitInBytes: 104857600
      skipEmptyArchives: true
      destination: {
        name: 'EventHubArchive.AzureBlockBlob'
        identity: {
          type: 'UserAssigned'
          userAssignedIdentity: identityId
        }
        properties: {
          storageAccountResourceId: storageId
          blobContainer: 'events'
          archiveNameFormat: '{Namespace}/{EventHub}/{PartitionId}/{Year}/{Month}/{Day}/{Hour}/{Minute}/{Second}'
        }
      }
    } : null
  }
}

resource group 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = {
  parent: hub
  name: 'chargeback'
  properties: {}
}

output namespaceId string = namespace.id
output namespaceName string = namespace.name
output hubName string = hub.name
output consumerGroup string = group.name
