// The Event Grid topic that carries the router's events, to its own functions and to the users' subscriptions.

@description('Name of the topic.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Schema that publishers use.')
@allowed(['EventGrid', 'CloudEvents'])
param eventSchema string

@description('Take events through the private endpoint only. Delivery is not affected: Event Grid pushes to public endpoints.')
param privateNetworking bool

resource topic 'Microsoft.EventGrid/topics@2025-02-15' = {
  name: name
  location: location
  tags: tags
  // Its own identity, to write dead letters to storage that has no keys.
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    inputSchema: eventSchema == 'CloudEvents' ? 'CloudEventSchemaV1_0' : 'EventGridSchema'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
  }
}

output id string = topic.id
output name string = topic.name
output endpoint string = topic.properties.endpoint
output principalId string = topic.identity.principalId
