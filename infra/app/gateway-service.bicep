// A new API Management service, with an identity of its own.
param name string
param location string
param tags object
param sku string
param publisherEmail string
param isolated bool
param subnetId string

resource service 'Microsoft.ApiManagement/service@2024-05-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: sku
    capacity: 1
  }
  identity: { type: 'SystemAssigned' }
  properties: {
    publisherEmail: publisherEmail
    publisherName: 'Azure OpenAI gateway'
    // Clients come from outside; what the isolated variant closes is the way from the gateway to hub and storage.
    publicNetworkAccess: 'Enabled'
    virtualNetworkType: isolated ? 'External' : 'None'
    virtualNetworkConfiguration: isolated ? { subnetResourceId: subnetId } : null
    customProperties: {
      'Microsoft.WindowsAzure.ApiManagement.Gateway.Security.Protocols.Tls10': 'False'
      'Microsoft.WindowsAzure.ApiManagement.Gateway.Security.Protocols.Tls11': 'False'
      'Microsoft.WindowsAzure.ApiManagement.Gateway.Security.Backend.Protocols.Tls10': 'False'
      'Microsoft.WindowsAzure.ApiManagement.Gateway.Security.Backend.Protocols.Tls11': 'False'
    }
  }
}

output principalId string = service.identity.principalId
