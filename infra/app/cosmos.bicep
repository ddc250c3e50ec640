// The router's data in Azure Cosmos DB for Table, for replicas in other regions.
// Consistency is Strong and only one region writes: the router's guarantees (one accept wins, no lost wake-up) rest on
// reading what was written last, from any instance.

@description('Name of the Cosmos DB account.')
@maxLength(44)
param name string

@description('Region that writes.')
param location string

@description('Tags.')
param tags object

@description('Further regions, for reading and failover. Empty: serverless.')
param readRegions string[]

@description('Keep the replicas of each region in several availability zones.')
param zoneRedundant bool

@description('Prefix of the table names.')
param tablesPrefix string

@description('Name of the app\'s identity.')
param principalName string

@description('Principal id of that identity.')
param principalId string

@description('Close the account to all but the private endpoint.')
param privateNetworking bool

@description('Upper bound of request units a second for each table, with replicas; Cosmos DB scales between a tenth of it and this.')
@minValue(1000)
param maxThroughputPerTable int = 4000

// Made here for their throughput, which the app does not know of. The names are those of router/storage.
var tableNames = [
  'jobs'
  'workers'
  'queues'
  'policies'
  'backlog'
  'availability'
  'deadlines'
  'members'
  'listing'
  'throughput'
  'rounds'
  'history'
  'facts'
]
var serverless = empty(readRegions)
var capabilities = serverless ? ['EnableTable', 'EnableServerless'] : ['EnableTable']
var regions = concat([location], readRegions)

resource account 'Microsoft.DocumentDB/databaseAccounts@2026-03-15' = {
  name: name
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    capabilities: [for capability in capabilities: { name: capability }]
    consistencyPolicy: {
      defaultConsistencyLevel: 'Strong'
    }
    enableMultipleWriteLocations: false
    enableAutomaticFailover: !serverless
    locations: [
      for (region, index) in regions: {
        locationName: region
        failoverPriority: index
        isZoneRedundant: zoneRedundant
      }
    ]
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: {
        tier: 'Continuous7Days'
      }
    }
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
  }
}

resource tables 'Microsoft.DocumentDB/databaseAccounts/tables@2026-03-15' = [
  for table in tableNames: {
    parent: account
    name: '${tablesPrefix}${table}'
    properties: {
      resource: {
        id: '${tablesPrefix}${table}'
      }
      options: serverless
        ? {}
        : {
            autoscaleSettings: {
              maxThroughput: maxThroughputPerTable
            }
          }
    }
  }
]

// Cosmos DB's own data-plane role "Cosmos DB Built-in Data Contributor"; it is not a role of Azure RBAC.
resource contributor 'Microsoft.DocumentDB/databaseAccounts/tableRoleAssignments@2026-03-15' = {
  parent: account
  name: guid(account.id, principalName, 'table-data-contributor')
  properties: {
    principalId: principalId
    roleDefinitionId: '${account.id}/tableRoleDefinitions/00000000-0000-0000-0000-000000000002'
    scope: account.id
  }
}

output id string = account.id
output name string = account.name
output tableEndpoint string = 'https://${account.name}.table.cosmos.azure.com:443/'
