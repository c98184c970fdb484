// The workbook: the bill, its quality and the worker's health. workbook.json is built: python scripts/workbook.py
param location string
param tags object = {}

@description('Resource id of the Log Analytics workspace behind Application Insights.')
param workspaceId string

@description('Name in the portal\'s list of workbooks.')
param displayName string = 'Azure OpenAI chargeback'

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  // A workbook's name must be a GUID; from the workspace, so that every deployment updates the same one.
  name: guid(workspaceId, 'chargeback')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: displayName
    category: 'workbook'
    sourceId: workspaceId
    serializedData: replace(loadTextContent('workbook.json'), '{workspace-id}', workspaceId)
  }
}

output workbookId string = workbook.id
