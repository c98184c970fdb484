// Private endpoints of everything the worker talks to, and the names that lead to them.
param scopeName string
param location string
param tags object
param subnetId string
param storageId string
param hubNamespaceId string
param workspaceId string
param insightsId string
param monitorZones array
param hubZone string

var storageSuffix = environment().suffixes.storage
var targets = [
  { name: 'blob', id: storageId, group: 'blob', zones: ['privatelink.blob.${storageSuffix}'] }
  { name: 'queue', id: storageId, group: 'queue', zones: ['privatelink.queue.${storageSuffix}'] }
  { name: 'table', id: storageId, group: 'table', zones: ['privatelink.table.${storageSuffix}'] }
  { name: 'hub', id: hubNamespaceId, group: 'namespace', zones: [hubZone] }
  { name: 'monitor', id: scope.id, group: 'azuremonitor', zones: concat(monitorZones, ['privatelink.blob.${storageSuffix}']) }
]

resource scope 'Microsoft.Insights/privateLinkScopes@2021-07-01-preview' = {
  name: scopeName
  location: 'global'
  tags: tags
  properties: {
    accessModeSettings: {
      ingestionAccessMode: 'PrivateOnly'
      queryAccessMode: 'Open'
    }
  }
}

resource workspaceInScope 'Microsoft.Insights/privateLinkScopes/scopedResources@2021-07-01-preview' = {
  parent: scope
  name: 'workspace'
  properties: { linkedResourceId: workspaceId }
}

resource insightsInScope 'Microsoft.Insights/privateLinkScopes/scopedResources@2021-07-01-preview' = {
  parent: scope
  name: 'insights'
  properties: { linkedResourceId: insightsId }
}

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = [for target in targets: {
  name: '${scopeName}-${target.name}'
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: target.name
        properties: {
          privateLinkServiceId: target.id
          groupIds: [target.group]
        }
      }
    ]
  }
  dependsOn: [
    workspaceInScope
    insightsInScope
  ]
}]

// One module a target: a loop inside a loop is not possible in a resource.
module names './endpoint-names.bicep' = [for (target, index) in targets: {
  name: 'names-${target.name}'
  params: {
    endpointName: endpoint[index].name
    zones: target.zones
  }
}]
