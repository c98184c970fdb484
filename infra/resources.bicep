// Everything inside one resource group. Its parameters are those of main.bicep and are described there.
param environmentName string
param location string = resourceGroup().location
param gatewayName string = ''
param gatewayResourceGroup string = ''
param gatewayPrincipalId string = ''
@allowed(['Developer', 'BasicV2', 'StandardV2', 'Premium'])
param gatewaySku string = 'BasicV2'
param publisherEmail string = 'admin@example.com'
param standardAccounts array = []
param premiumAccounts array = []
param audience string = 'api://azure-openai-gateway'
param priorityProducts string = 'none'
param premiumClients string = 'none'
param callsPerMinute int = 300
param tokensPerMinute int = 100000
param captureBodies bool = false
@allowed(['hub', 'workspace', 'off'])
param llmLog string = 'hub'
param allowHubKeys bool = false
param isolated bool = false
param captureEvents bool = false
param deadLetterDays int = 90
param alertEmail string = ''
param deployerPrincipalId string = ''

var names = loadJsonContent('./abbreviations.json')
var suffix = uniqueString(subscription().id, resourceGroup().id, environmentName)
var tags = { 'azd-env-name': environmentName }
var isNewGateway = empty(gatewayName)
var serviceName = isNewGateway ? '${names.gateway}${suffix}' : gatewayName
var serviceGroup = empty(gatewayResourceGroup) ? resourceGroup().name : gatewayResourceGroup

// What differs between the public cloud and Azure Government and is not in environment().suffixes.
var clouds = {
  AzureCloud: {
    hubSuffix: 'servicebus.windows.net'
    openAiAudience: 'https://cognitiveservices.azure.com'
    monitorZones: ['privatelink.monitor.azure.com', 'privatelink.oms.opinsights.azure.com', 'privatelink.ods.opinsights.azure.com', 'privatelink.agentsvc.azure-automation.net']
  }
  AzureUSGovernment: {
    hubSuffix: 'servicebus.usgovcloudapi.net'
    openAiAudience: 'https://cognitiveservices.azure.us'
    monitorZones: ['privatelink.monitor.azure.us', 'privatelink.oms.opinsights.azure.us', 'privatelink.ods.opinsights.azure.us', 'privatelink.agentsvc.azure-automation.us']
  }
}
var cloud = clouds[environment().name]

module identity './app/identity.bicep' = {
  name: 'identity'
  params: {
    name: '${names.identity}${suffix}'
    location: location
    tags: tags
  }
}

module network './app/network.bicep' = if (isolated) {
  name: 'network'
  params: {
    name: '${names.network}${suffix}'
    location: location
    tags: tags
    zones: concat([
      'privatelink.blob.${environment().suffixes.storage}'
      'privatelink.queue.${environment().suffixes.storage}'
      'privatelink.table.${environment().suffixes.storage}'
      'privatelink.${cloud.hubSuffix}'
    ], cloud.monitorZones)
  }
}

module monitor './app/monitor.bicep' = {
  name: 'monitor'
  params: {
    workspaceName: '${names.workspace}${suffix}'
    insightsName: '${names.insights}${suffix}'
    location: location
    tags: tags
    isolated: isolated
    alertEmail: alertEmail
  }
}

module storage './app/storage.bicep' = {
  name: 'storage'
  params: {
    name: '${names.storage}${suffix}'
    location: location
    tags: tags
    isolated: isolated
    deadLetterDays: deadLetterDays
    captureEvents: captureEvents
  }
}

module hub './app/event-hub.bicep' = {
  name: 'hub'
  params: {
    name: '${names.eventHubs}${suffix}'
    location: location
    tags: tags
    isolated: isolated
    allowHubKeys: allowHubKeys
    captureEvents: captureEvents
    storageId: storage.outputs.id
    identityId: identity.outputs.id
  }
}

module endpoints './app/endpoints.bicep' = if (isolated) {
  name: 'endpoints'
  params: {
    scopeName: '${names.privateLinkScope}${suffix}'
    location: location
    tags: tags
    subnetId: isolated ? network.outputs.endpointsSubnetId : ''
    storageId: storage.outputs.id
    hubNamespaceId: hub.outputs.namespaceId
    workspaceId: monitor.outputs.workspaceId
    insightsId: monitor.outputs.insightsId
    monitorZones: cloud.monitorZones
    hubZone: 'privatelink.${cloud.hubSuffix}'
  }
}

module function './app/function.bicep' = {
  name: 'function'
  params: {
    name: '${names.function}${suffix}'
    planName: '${names.plan}${suffix}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    blobEndpoint: storage.outputs.blobEndpoint
    queueEndpoint: storage.outputs.queueEndpoint
    tableEndpoint: storage.outputs.tableEndpoint
    hubHost: '${hub.outputs.namespaceName}.${cloud.hubSuffix}'
    hubName: hub.outputs.hubName
    consumerGroup: hub.outputs.consumerGroup
    insightsConnectionString: monitor.outputs.insightsConnectionString
    deadLetterDays: deadLetterDays
    isolated: isolated
    subnetId: isolated ? network.outputs.functionSubnetId : ''
  }
  dependsOn: [
    roles
    endpoints
  ]
}

module gatewayService './app/gateway-service.bicep' = if (isNewGateway) {
  name: 'gateway-service'
  params: {
    name: serviceName
    location: location
    tags: tags
    sku: gatewaySku
    publisherEmail: publisherEmail
    isolated: isolated
    subnetId: isolated ? network.outputs.gatewaySubnetId : ''
  }
}

module gateway './app/gateway.bicep' = {
  name: 'gateway'
  scope: resourceGroup(serviceGroup)
  params: {
    serviceName: serviceName
    hubHost: '${hub.outputs.namespaceName}.${cloud.hubSuffix}'
    hubName: hub.outputs.hubName
    hubNamespaceId: hub.outputs.namespaceId
    workspaceId: monitor.outputs.workspaceId
    insightsId: monitor.outputs.insightsId
    insightsConnectionString: monitor.outputs.insightsConnectionString
    standardAccounts: standardAccounts
    premiumAccounts: premiumAccounts
    openAiAudience: cloud.openAiAudience
    audience: audience
    priorityProducts: priorityProducts
    premiumClients: premiumClients
    callsPerMinute: callsPerMinute
    tokensPerMinute: tokensPerMinute
    captureBodies: captureBodies
    llmLog: llmLog
  }
  dependsOn: [
    gatewayService
    roles
  ]
}

module roles './app/roles.bicep' = {
  name: 'roles'
  params: {
    storageName: storage.outputs.name
    hubNamespaceName: hub.outputs.namespaceName
    hubName: hub.outputs.hubName
    insightsName: monitor.outputs.insightsName
    workerPrincipalId: identity.outputs.principalId
    gatewayPrincipalId: isNewGateway ? gatewayService.outputs.principalId : gatewayPrincipalId
    captureEvents: captureEvents
    deployerPrincipalId: deployerPrincipalId
  }
}

module accountRoles './app/openai-role.bicep' = [for account in concat(standardAccounts, premiumAccounts): {
  name: 'openai-role-${account.name}'
  scope: resourceGroup(account.resourceGroup)
  params: {
    accountName: account.name
    gatewayPrincipalId: isNewGateway ? gatewayService.outputs.principalId : gatewayPrincipalId
  }
}]

output functionName string = function.outputs.name
output storageName string = storage.outputs.name
output blobEndpoint string = storage.outputs.blobEndpoint
output gatewayUrl string = gateway.outputs.url
output hubHost string = '${hub.outputs.namespaceName}.${cloud.hubSuffix}'
