// What the gateway needs to serve Azure OpenAI and tell who used what. The service may be new or an old one; nothing
// here touches other APIs of it.
param serviceName string
param hubHost string
param hubName string
param hubNamespaceId string
param workspaceId string
param insightsId string
@secure()
param insightsConnectionString string
param standardAccounts array
param premiumAccounts array
param openAiAudience string
param audience string
param priorityProducts string
param premiumClients string
param callsPerMinute int
param tokensPerMinute int
param captureBodies bool
param llmLog string

var fragments = [
  { name: 'chargeback-entra', xml: loadTextContent('../policies/chargeback-entra.xml') }
  { name: 'chargeback-identity', xml: loadTextContent('../policies/chargeback-identity.xml') }
  { name: 'chargeback-include-usage', xml: loadTextContent('../policies/chargeback-include-usage.xml') }
  { name: 'chargeback-limit-answer', xml: loadTextContent('../policies/chargeback-limit-answer.xml') }
  { name: 'chargeback-limits', xml: loadTextContent('../policies/chargeback-limits.xml') }
  { name: 'chargeback-log-exchange', xml: loadTextContent('../policies/chargeback-log-exchange.xml') }
  { name: 'chargeback-managed-identity', xml: loadTextContent('../policies/chargeback-managed-identity.xml') }
  { name: 'chargeback-retry', xml: loadTextContent('../policies/chargeback-retry.xml') }
  { name: 'chargeback-routing', xml: loadTextContent('../policies/chargeback-routing.xml') }
  { name: 'chargeback-token-metric', xml: loadTextContent('../policies/chargeback-token-metric.xml') }
]
var namedValues = [
  { name: 'chargeback-tenant-id', value: tenant().tenantId }
  { name: 'chargeback-audience', value: audience }
  { name: 'chargeback-openai-audience', value: openAiAudience }
  { name: 'chargeback-priority-products', value: priorityProducts }
  { name: 'chargeback-premium-clients', value: empty(premiumAccounts) ? 'none' : premiumClients }
  { name: 'chargeback-calls-per-minute', value: string(callsPerMinute) }
  { name: 'chargeback-tokens-per-minute', value: string(tokensPerMinute) }
]
// Ids as Azure OpenAI's published API descriptions have them: the worker knows operations by these.
var byDeployment = [
  { id: 'ChatCompletions_Create', url: '/deployments/{deployment-id}/chat/completions' }
  { id: 'Completions_Create', url: '/deployments/{deployment-id}/completions' }
  { id: 'embeddings_create', url: '/deployments/{deployment-id}/embeddings' }
  { id: 'ImageGenerations_Create', url: '/deployments/{deployment-id}/images/generations' }
  { id: 'Transcriptions_Create', url: '/deployments/{deployment-id}/audio/transcriptions' }
  { id: 'Translations_Create', url: '/deployments/{deployment-id}/audio/translations' }
  { id: 'Speech_Create', url: '/deployments/{deployment-id}/audio/speech' }
]
var byBody = [
  { id: 'createChatCompletion', url: '/v1/chat/completions' }
  { id: 'createEmbedding', url: '/v1/embeddings' }
  { id: 'createResponse', url: '/v1/responses' }
  { id: 'Responses_Create', url: '/responses' }
]

resource service 'Microsoft.ApiManagement/service@2024-05-01' existing = {
  name: serviceName
}

// The keys of `credentials` are a plain map to every type checker: tests/infra checks them.
resource logger 'Microsoft.ApiManagement/service/loggers@2024-05-01' = {
  parent: service
  name: 'chargeback'
  properties: {
    loggerType: 'azureEventHub'
    description: 'Events about Azure OpenAI calls, for the chargeback worker'
    credentials: {
      endpointAddress: hubHost
      identityClientId: 'SystemAssigned'
      name: hubName
    }
  }
}

resource value 'Microsoft.ApiManagement/service/namedValues@2024-05-01' = [for each in namedValues: {
  parent: service
  name: each.name
  properties: {
    displayName: each.name
    value: each.value
    secret: false
  }
}]

resource fragment 'Microsoft.ApiManagement/service/policyFragments@2024-05-01' = [for each in fragments: {
  parent: service
  name: each.name
  properties: {
    format: 'xml'
    value: each.xml
    description: 'infra/policies/${each.name}.xml'
  }
  dependsOn: [
    logger
    value
  ]
}]

// ---- backends: one an account, a circuit breaker each; one pool a kind of price

resource standard 'Microsoft.ApiManagement/service/backends@2024-05-01' = [for account in standardAccounts: {
  parent: service
  name: 'aoai-${account.name}'
  properties: {
    url: '${account.endpoint}openai'
    protocol: 'http'
    circuitBreaker: {
      rules: [
        {
          name: 'refused'
          failureCondition: {
            count: 1
            interval: 'PT10S'
            statusCodeRanges: [
              { min: 429, max: 429 }
              { min: 500, max: 599 }
            ]
          }
          tripDuration: 'PT10S'
          acceptRetryAfter: true
        }
      ]
    }
  }
}]

resource premium 'Microsoft.ApiManagement/service/backends@2024-05-01' = [for account in premiumAccounts: {
  parent: service
  name: 'aoai-${account.name}'
  properties: {
    url: '${account.endpoint}openai'
    protocol: 'http'
    circuitBreaker: {
      rules: [
        {
          name: 'refused'
          failureCondition: {
            count: 1
            interval: 'PT10S'
            statusCodeRanges: [
              { min: 429, max: 429 }
              { min: 500, max: 599 }
            ]
          }
          tripDuration: 'PT10S'
          acceptRetryAfter: true
        }
      ]
    }
  }
}]

resource standardPool 'Microsoft.ApiManagement/service/backends@2024-05-01' = if (!empty(standardAccounts)) {
  parent: service
  name: 'aoai-standard'
  // The published types demand url and protocol, which a pool does not have.
  #disable-next-line BCP035
  properties: {
    type: 'Pool'
    pool: {
      services: [for account in standardAccounts: {
        id: resourceId('Microsoft.ApiManagement/service/backends', serviceName, 'aoai-${account.name}')
        priority: account.priority
        weight: account.weight
      }]
    }
  }
  dependsOn: [
    standard
  ]
}

resource premiumPool 'Microsoft.ApiManagement/service/backends@2024-05-01' = if (!empty(premiumAccounts)) {
  parent: service
  name: 'aoai-premium'
  #disable-next-line BCP035
  properties: {
    type: 'Pool'
    pool: {
      services: [for account in premiumAccounts: {
        id: resourceId('Microsoft.ApiManagement/service/backends', serviceName, 'aoai-${account.name}')
        priority: account.priority
        weight: account.weight
      }]
    }
  }
  dependsOn: [
    premium
  ]
}

// ---- the API

resource api 'Microsoft.ApiManagement/service/apis@2024-05-01' = if (!empty(standardAccounts)) {
  parent: service
  name: 'azure-openai'
  properties: {
    displayName: 'Azure OpenAI'
    path: 'openai'
    protocols: ['https']
    type: 'http'
    // A caller proves who he is by key or by token: chargeback-entra refuses who has neither.
    subscriptionRequired: false
    subscriptionKeyParameterNames: {
      header: 'api-key'
      query: 'subscription-key'
    }
    serviceUrl: empty(standardAccounts) ? '' : '${standardAccounts[0].endpoint}openai'
  }
}

resource deploymentOperation 'Microsoft.ApiManagement/service/apis/operations@2024-05-01' = [for each in byDeployment: if (!empty(standardAccounts)) {
  parent: api
  name: each.id
  properties: {
    displayName: each.id
    method: 'POST'
    urlTemplate: each.url
    templateParameters: [
      {
        name: 'deployment-id'
        type: 'string'
        required: true
      }
    ]
  }
}]

resource bodyOperation 'Microsoft.ApiManagement/service/apis/operations@2024-05-01' = [for each in byBody: if (!empty(standardAccounts)) {
  parent: api
  name: each.id
  properties: {
    displayName: each.id
    method: 'POST'
    urlTemplate: each.url
  }
}]

resource policy 'Microsoft.ApiManagement/service/apis/policies@2024-05-01' = if (!empty(standardAccounts)) {
  parent: api
  name: 'policy'
  properties: {
    format: 'xml'
    value: captureBodies ? loadTextContent('../policies/api-with-bodies.xml') : loadTextContent('../policies/api.xml')
  }
  dependsOn: [
    fragment
    standardPool
    premiumPool
  ]
}

// ---- the gateway's own log: token counts of streams, without text

resource insightsLogger 'Microsoft.ApiManagement/service/loggers@2024-05-01' = {
  parent: service
  name: 'chargeback-insights'
  properties: {
    loggerType: 'applicationInsights'
    description: 'Token metrics of Azure OpenAI'
    resourceId: insightsId
    credentials: {
      connectionString: insightsConnectionString
      identityClientId: 'SystemAssigned'
    }
  }
}

resource metrics 'Microsoft.ApiManagement/service/apis/diagnostics@2024-05-01' = if (!empty(standardAccounts)) {
  parent: api
  name: 'applicationinsights'
  properties: {
    loggerId: insightsLogger.id
    metrics: true
    alwaysLog: 'allErrors'
    logClientIp: false
    sampling: {
      samplingType: 'fixed'
      percentage: 10
    }
    // Logging bodies would buffer streams.
    frontend: {
      request: { body: { bytes: 0 } }
      response: { body: { bytes: 0 } }
    }
    backend: {
      request: { body: { bytes: 0 } }
      response: { body: { bytes: 0 } }
    }
  }
}

resource monitorLogger 'Microsoft.ApiManagement/service/loggers@2024-05-01' = if (llmLog != 'off') {
  parent: service
  name: 'azuremonitor'
  properties: {
    loggerType: 'azureMonitor'
    isBuffered: false
  }
}

resource counts 'Microsoft.ApiManagement/service/apis/diagnostics@2024-06-01-preview' = if (llmLog != 'off' && !empty(standardAccounts)) {
  parent: api
  name: 'azuremonitor'
  properties: {
    loggerId: monitorLogger.id
    alwaysLog: 'allErrors'
    logClientIp: false
    verbosity: 'information'
    sampling: {
      samplingType: 'fixed'
      percentage: 100
    }
    frontend: {
      request: { body: { bytes: 0 } }
      response: { body: { bytes: 0 } }
    }
    backend: {
      request: { body: { bytes: 0 } }
      response: { body: { bytes: 0 } }
    }
    largeLanguageModel: {
      logs: 'enabled'
    }
  }
}

resource toHub 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (llmLog == 'hub') {
  name: 'chargeback-hub'
  scope: service
  properties: {
    eventHubName: hubName
    eventHubAuthorizationRuleId: '${hubNamespaceId}/authorizationRules/RootManageSharedAccessKey'
    logs: [
      { category: 'GatewayLlmLogs', enabled: true }
      { category: 'GatewayLogs', enabled: true }
    ]
  }
}

resource toWorkspace 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (llmLog != 'off') {
  name: 'chargeback-workspace'
  scope: service
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      { category: 'GatewayLlmLogs', enabled: true }
      { category: 'GatewayLogs', enabled: true }
    ]
  }
}

output url string = service.properties.gatewayUrl
