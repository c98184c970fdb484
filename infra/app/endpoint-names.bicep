// The DNS zones of one private endpoint.
param endpointName string
param zones array

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' existing = {
  name: endpointName
}

resource group 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [for (zone, index) in zones: {
      name: 'zone-${index}'
      properties: { privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', zone) }
    }]
  }
}
