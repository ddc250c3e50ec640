// The whole router in one resource group: app, data store, event topic, vault, monitoring and, if asked, a private network.
// The event subscriptions are not here: Event Grid checks that a function exists, so they follow the code
// (event-subscriptions.bicep, deployed by the postdeploy hook).
targetScope = 'subscription'

@description('Name of the environment: it names the resource group and, hashed, every resource in it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of every resource. It must offer Flex Consumption: az functionapp list-flexconsumption-locations.')
@metadata({ azd: { type: 'location' } })
param location string

@description('Resource group to create or reuse. Empty: rg-<environmentName>.')
param resourceGroupName string = ''

@description('Tags for every resource, besides azd-env-name.')
param tags object = {}

@description('Object id of the person or pipeline that deploys. It may read and rotate the keys in the vault. Empty: nobody but the app.')
param operatorPrincipalId string = ''

@description('One or two base64 access keys, comma-separated, for the vault of a first deployment. Empty: leave the vault as it is.')
@secure()
param accessKeys string = ''

@description('Base64 key of 32 bytes that encrypts secrets in policies, for the vault of a first deployment. Empty: leave the vault as it is.')
@secure()
param secretsKey string = ''

@description('Where jobs and workers are kept: a storage account (cheapest, one region) or Azure Cosmos DB for Table (read replicas in other regions).')
@allowed(['storage', 'cosmos'])
param dataStore string = 'storage'

@description('Redundancy of the data account. ZRS survives the loss of a zone; use Standard_LRS where the region has no zones, Standard_GZRS for a copy in the paired region.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS', 'Standard_RAGRS', 'Standard_RAGZRS'])
param dataStorageSku string = 'Standard_ZRS'

@description('Redundancy of the host storage account, which holds the package and leases: nothing that cannot be deployed again.')
@allowed(['Standard_LRS', 'Standard_ZRS'])
param hostStorageSku string = 'Standard_LRS'

@description('Further regions that Cosmos DB replicates to. Empty: one region, serverless billing.')
param cosmosReadRegions string[] = []

@description('Keep the replicas of Cosmos DB in several availability zones of each region. No extra charge with cosmosReadRegions, whose throughput is autoscaled.')
param cosmosZoneRedundant bool = false

@description('Prefix of the table names, when several routers share one account.')
@maxLength(20)
param tablesPrefix string = ''

@description('Schema of the topic and of the events that the router publishes. It cannot be changed on an existing topic.')
@allowed(['EventGrid', 'CloudEvents'])
param eventSchema string = 'EventGrid'

@description('Python version of the app.')
@allowed(['3.11', '3.12', '3.13'])
param pythonVersion string = '3.13'

@description('Memory of an instance in MB; CPU grows with it. 512 is the cheapest, 2048 the platform\'s default.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Upper bound of instances, and so of cost.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 100

@description('HTTP requests and event deliveries that one instance takes at a time. The platform assumes 1 for Python; the app is asynchronous and mostly waits for storage.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 64

@description('Instances that are always running, by scale group (http, which takes the events too) or function (function:<name>). OnDeadlines runs each second anyway, and an always ready instance is billed less than a busy one.')
param alwaysReady {
  name: string
  instanceCount: int
}[] = [
  { name: 'http', instanceCount: 1 }
  { name: 'function:OnDeadlines', instanceCount: 1 }
]

@description('Spread instances over availability zones. Needs a region with zones and at least two always ready instances per group.')
param zoneRedundant bool = false

@description('Put the data store, vault, topic and host storage behind private endpoints and the app into a virtual network.')
param privateNetworking bool = false

@description('Address space of that network; a /24 or larger.')
param virtualNetworkAddressPrefix string = '10.90.0.0/24'

@description('Give the subnets of that network a network security group, where a policy asks for one.')
param networkSecurityGroups bool = false

@description('IP ranges (CIDR) that may call the router. Empty: any address, with a valid signature or token. Event Grid is always let in.')
param allowedIpRanges string[] = []

@description('Requests per 10 seconds and access key before 429. 0: no limit.')
@minValue(0)
param rateLimit int = 0

@description('Microsoft Entra tenant whose tokens are accepted besides access keys. Empty, or without entraAudience: access keys only.')
param entraTenantId string = ''

@description('Audience that such tokens must carry, for example api://job-router. Counts only together with entraTenantId.')
param entraAudience string = ''

@description('Client id of the app registration by which the console signs in. Empty: that of the audience, if it is a GUID or api:// and a GUID.')
param entraClientId string = ''

@description('Whether a token needs one of the roles of the router: without one it may do everything (optional) or nothing (required).')
@allowed(['optional', 'required'])
param entraRoles string = 'optional'

@description('Keys that only read: a Key Vault reference, for example @Microsoft.KeyVault(SecretUri=...). Empty: none.')
param readKeysReference string = ''

@description('Let function and webhook rules call private addresses, for example in the virtual network. Link-local and metadata addresses stay forbidden.')
param rulesAllowPrivateNetworks bool = false

@description('E-mail address for alerts. Empty: alerts are raised in the portal only.')
param alertEmail string = ''

@description('Test /health from three Azure regions every five minutes (billed per test), with an alert when two of them fail.')
param availabilityTest bool = false

@description('Days that logs and metrics are kept in the workspace.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Upper bound of ingested telemetry in GB a day; -1 for none. At the cap collection stops until the next day, and the alerts that read telemetry see nothing: set it well above what a day brings.')
param logDailyCapGB int = 5

@description('Save a Log Analytics function ACSJobRouterIncomingOperations, so that queries made for ACS\'s table of that name go on working.')
param incomingOperationsFunction bool = true

@description('Forbid purging the vault before its soft-delete period ends. Recommended in production; it cannot be undone, and a removed environment\'s vault name stays taken for 30 days.')
param vaultPurgeProtection bool = false

var token = toLower(uniqueString(subscription().id, environmentName, location))
var allTags = union(tags, { 'azd-env-name': environmentName })
var groupName = empty(resourceGroupName) ? 'rg-${environmentName}' : resourceGroupName
var useCosmos = dataStore == 'cosmos'

// Names that modules share are made here, not taken from modules' outputs: a preview (azd provision --preview) knows them
// before anything is deployed, and shows roles and alerts too.
var names = {
  identity: 'id-router-${token}'
  workspace: 'log-${token}'
  applicationInsights: 'appi-${token}'
  hostStorage: 'sthost${token}'
  dataStorage: 'strouter${token}'
  deadLetters: 'dead-letters'
  topic: 'evgt-router-${token}'
  vault: 'kv-${token}'
}

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: groupName
  location: location
  tags: allTags
}

module identity 'app/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: names.identity
    location: location
    tags: allTags
  }
}

module monitoring 'app/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: names.workspace
    applicationInsightsName: names.applicationInsights
    location: location
    tags: allTags
    retentionDays: logRetentionDays
    dailyCapGB: logDailyCapGB
    incomingOperationsFunction: incomingOperationsFunction
  }
}

module hostStorage 'app/host-storage.bicep' = {
  name: 'host-storage'
  scope: group
  params: {
    name: names.hostStorage
    deadLetterContainerName: names.deadLetters
    location: location
    tags: allTags
    // What zone redundant functions need of their storage (Azure documentation, 'Reliability in Azure Functions').
    sku: zoneRedundant ? 'Standard_ZRS' : hostStorageSku
    privateNetworking: privateNetworking
  }
}

module dataStorage 'app/data-storage.bicep' = if (!useCosmos) {
  name: 'data-storage'
  scope: group
  params: {
    name: names.dataStorage
    location: location
    tags: allTags
    sku: dataStorageSku
    privateNetworking: privateNetworking
  }
}

module cosmos 'app/cosmos.bicep' = if (useCosmos) {
  name: 'cosmos'
  scope: group
  params: {
    name: 'cosmos-${token}'
    location: location
    tags: allTags
    readRegions: cosmosReadRegions
    zoneRedundant: cosmosZoneRedundant
    tablesPrefix: tablesPrefix
    principalName: names.identity
    principalId: identity.outputs.principalId
    privateNetworking: privateNetworking
  }
}

module topic 'app/topic.bicep' = {
  name: 'topic'
  scope: group
  params: {
    name: names.topic
    location: location
    tags: allTags
    eventSchema: eventSchema
    privateNetworking: privateNetworking
  }
}

module vault 'app/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: names.vault
    location: location
    tags: allTags
    accessKeys: accessKeys
    secretsKey: secretsKey
    workspaceName: names.workspace
    purgeProtection: vaultPurgeProtection
    privateNetworking: privateNetworking
  }
  dependsOn: [
    monitoring
  ]
}

module roles 'app/roles.bicep' = {
  name: 'roles'
  scope: group
  params: {
    appName: names.identity
    appPrincipalId: identity.outputs.principalId
    operatorPrincipalId: operatorPrincipalId
    topicPrincipalId: topic.outputs.principalId
    hostStorageName: names.hostStorage
    deadLetterContainerName: names.deadLetters
    dataStorageName: useCosmos ? '' : names.dataStorage
    topicName: names.topic
    vaultName: names.vault
    applicationInsightsName: names.applicationInsights
  }
  dependsOn: [
    hostStorage
    dataStorage
    vault
    monitoring
  ]
}

module network 'app/network.bicep' = if (privateNetworking) {
  name: 'network'
  scope: group
  params: {
    name: 'vnet-${token}'
    location: location
    tags: allTags
    addressPrefix: virtualNetworkAddressPrefix
    networkSecurityGroups: networkSecurityGroups
  }
}

module privateEndpoints 'app/private-endpoints.bicep' = if (privateNetworking) {
  name: 'private-endpoints'
  scope: group
  params: {
    location: location
    tags: allTags
    virtualNetworkId: network!.outputs.virtualNetworkId
    subnetId: network!.outputs.endpointsSubnetId
    targets: [
      {
        name: 'pe-host-${token}'
        resourceId: hostStorage.outputs.id
        groupId: 'blob'
        zone: 'privatelink.blob.${environment().suffixes.storage}'
      }
      {
        name: 'pe-data-${token}'
        resourceId: useCosmos ? cosmos!.outputs.id : dataStorage!.outputs.id
        groupId: useCosmos ? 'Table' : 'table'
        zone: useCosmos ? 'privatelink.table.cosmos.azure.com' : 'privatelink.table.${environment().suffixes.storage}'
      }
      {
        name: 'pe-topic-${token}'
        resourceId: topic.outputs.id
        groupId: 'topic'
        zone: 'privatelink.eventgrid.azure.net'
      }
      {
        name: 'pe-vault-${token}'
        resourceId: vault.outputs.id
        groupId: 'vault'
        zone: 'privatelink.vaultcore.azure.net'
      }
    ]
  }
}

module app 'app/function.bicep' = {
  name: 'function'
  scope: group
  params: {
    name: 'func-router-${token}'
    planName: 'plan-${token}'
    location: location
    tags: allTags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    httpConcurrency: httpConcurrency
    alwaysReady: alwaysReady
    zoneRedundant: zoneRedundant
    packageContainerUrl: hostStorage.outputs.packageContainerUrl
    hostStorageName: names.hostStorage
    hostBlobEndpoint: hostStorage.outputs.blobEndpoint
    tablesEndpoint: useCosmos ? cosmos!.outputs.tableEndpoint : dataStorage!.outputs.tableEndpoint
    tablesPrefix: tablesPrefix
    topicEndpoint: topic.outputs.endpoint
    eventSchema: eventSchema
    accessKeysReference: vault.outputs.accessKeysReference
    policyKeyReference: vault.outputs.policyKeyReference
    applicationInsightsConnectionString: monitoring.outputs.connectionString
    entraTenantId: entraTenantId
    entraAudience: entraAudience
    entraClientId: entraClientId
    entraRoles: entraRoles
    readKeysReference: readKeysReference
    rateLimit: rateLimit
    rulesAllowPrivateNetworks: rulesAllowPrivateNetworks
    allowedIpRanges: allowedIpRanges
    virtualNetworkSubnetId: privateNetworking ? network!.outputs.appSubnetId : ''
  }
  dependsOn: [
    roles
    privateEndpoints
  ]
}

module dashboards 'app/dashboards.bicep' = {
  name: 'dashboards'
  scope: group
  params: {
    location: location
    tags: allTags
    token: token
    applicationInsightsName: names.applicationInsights
    workspaceName: names.workspace
    dailyCapGB: logDailyCapGB
    alertEmail: alertEmail
    availabilityTest: availabilityTest
    healthUrl: '${app.outputs.endpoint}/health'
  }
}

@description('What goes before /routing in every call, and into a client\'s connection string.')
output ROUTER_ENDPOINT string = app.outputs.endpoint

@description('Prints the connection string for SDK clients; run it where az is logged in as the operator.')
output ROUTER_CONNECTION_STRING_COMMAND string = 'echo "endpoint=${app.outputs.endpoint}/;accesskey=$(az keyvault secret show --vault-name ${vault.outputs.name} --name ${vault.outputs.accessKeysSecretName} --query value --output tsv | cut -d, -f1)"'

output AZURE_LOCATION string = location
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_APP_NAME string = app.outputs.name
output AZURE_KEY_VAULT_NAME string = vault.outputs.name
output AZURE_EVENTGRID_TOPIC_NAME string = topic.outputs.name
output AZURE_HOST_STORAGE_NAME string = hostStorage.outputs.name
output AZURE_DEAD_LETTER_CONTAINER string = names.deadLetters
output AZURE_DATA_ACCOUNT_NAME string = useCosmos ? cosmos!.outputs.name : dataStorage!.outputs.name
output AZURE_EVENTGRID_SCHEMA string = eventSchema
