// The whole deployment for `azd up`: a resource group, new or existing, and everything in resources.bicep.
// Without azd: `az deployment sub create`, or resources.bicep alone into a group that is there (docs/deploy.md).
targetScope = 'subscription'

@minLength(1)
@maxLength(40)
@description('Name of this environment; azd asks for it. Part of every resource name through a hash.')
param environmentName string

@minLength(1)
@description('Region of everything but the Azure OpenAI accounts.')
param location string

@description('Existing resource group to deploy into. Empty: rg-<environment> is made.')
param resourceGroupName string = ''

@description('Existing API Management service. Empty: a new one is made.')
param gatewayName string = ''

@description('Resource group of the existing API Management service. Empty: the group of this deployment.')
param gatewayResourceGroup string = ''

@description('Principal id of the existing service\'s managed identity. Needed with gatewayName.')
param gatewayPrincipalId string = ''

@description('Tier of a new API Management service. Not Consumption: it has no streams.')
@allowed(['Developer', 'BasicV2', 'StandardV2', 'Premium'])
param gatewaySku string = 'BasicV2'

@description('Address that a new API Management service is published under.')
param publisherEmail string = 'admin@example.com'

@description('Azure OpenAI accounts that are paid by the token: [{name, resourceGroup, endpoint, priority, weight}].')
param standardAccounts array = []

@description('Azure OpenAI accounts with provisioned throughput, in the same form. Never in one pool with the others.')
param premiumAccounts array = []

@description('Audience of Entra tokens that clients send, such as api://<application id>.')
param audience string = 'api://azure-openai-gateway'

@description('Products whose calls may ask for priority, and clients that always get dedicated capacity: ids with commas.')
param priorityProducts string = 'none'
param premiumClients string = 'none'

@description('Limits of one subscription or app.')
param callsPerMinute int = 300
param tokensPerMinute int = 100000

@description('Capture bodies where an answer shows no usage. Buffers streams and sends text to the hub.')
param captureBodies bool = false

@description('Where API Management\'s own LLM log goes: to the hub it prices streams.')
@allowed(['hub', 'workspace', 'off'])
param llmLog string = 'hub'

@description('Let keys open the Event Hubs namespace. Only if the LLM log does not arrive without (docs/deploy.md).')
param allowHubKeys bool = false

@description('No public access: virtual network, private endpoints, private DNS.')
param isolated bool = false

@description('Keep every event of the hub as Avro files as well, for repair.')
param captureEvents bool = false

@description('Days that dead letters and captured events are kept.')
param deadLetterDays int = 90

@description('Address that alerts are sent to. Empty: alerts are made and shown, and nobody is written to.')
param alertEmail string = ''

@description('Who deploys; azd fills it in. May then upload the rate table.')
param deployerPrincipalId string = ''

var names = loadJsonContent('./abbreviations.json')
var groupName = empty(resourceGroupName) ? '${names.resourceGroup}${environmentName}' : resourceGroupName
var tags = { 'azd-env-name': environmentName }

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = if (empty(resourceGroupName)) {
  name: groupName
  location: location
  tags: tags
}

module resources './resources.bicep' = {
  name: 'chargeback'
  scope: resourceGroup(groupName)
  params: {
    environmentName: environmentName
    location: location
    gatewayName: gatewayName
    gatewayResourceGroup: gatewayResourceGroup
    gatewayPrincipalId: gatewayPrincipalId
    gatewaySku: gatewaySku
    publisherEmail: publisherEmail
    standardAccounts: standardAccounts
    premiumAccounts: premiumAccounts
    audience: audience
    priorityProducts: priorityProducts
    premiumClients: premiumClients
    callsPerMinute: callsPerMinute
    tokensPerMinute: tokensPerMinute
    captureBodies: captureBodies
    llmLog: llmLog
    allowHubKeys: allowHubKeys
    isolated: isolated
    captureEvents: captureEvents
    deadLetterDays: deadLetterDays
    alertEmail: alertEmail
    deployerPrincipalId: deployerPrincipalId
  }
  dependsOn: [
    group
  ]
}

output AZURE_RESOURCE_GROUP string = groupName
output AZURE_FUNCTION_NAME string = resources.outputs.functionName
output AZURE_STORAGE_ACCOUNT string = resources.outputs.storageName
output AZURE_STORAGE_BLOB_ENDPOINT string = resources.outputs.blobEndpoint
output AZURE_GATEWAY_URL string = resources.outputs.gatewayUrl
output AZURE_EVENT_HUBS string = resources.outputs.hubHost
