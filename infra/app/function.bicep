// The Function App on the Flex Consumption plan, with its settings.

@description('Name of the Function App.')
param name string

@description('Name of the plan.')
param planName string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Resource id of the identity that the app runs as.')
param identityId string

@description('Client id of that identity.')
param identityClientId string

@description('Python version.')
param pythonVersion string

@description('Memory of an instance in MB.')
param instanceMemoryMB int

@description('Upper bound of instances.')
param maximumInstanceCount int

@description('HTTP requests that one instance takes at a time.')
param httpConcurrency int

@description('Always ready instances by scale group or function.')
param alwaysReady {
  name: string
  instanceCount: int
}[]

@description('Spread instances over availability zones.')
param zoneRedundant bool

@description('Container that the package is deployed to.')
param packageContainerUrl string

@description('Name of the host storage account.')
param hostStorageName string

@description('Blob endpoint of the host storage account.')
param hostBlobEndpoint string

@description('Table endpoint of the data store.')
param tablesEndpoint string

@description('Prefix of the table names.')
param tablesPrefix string

@description('Endpoint of the Event Grid topic.')
param topicEndpoint string

@description('Schema of the events.')
param eventSchema string

@description('Key Vault reference of the access keys.')
param accessKeysReference string

@description('Key Vault reference of the key for secrets in policies.')
param policyKeyReference string

@description('Connection string of Application Insights.')
param applicationInsightsConnectionString string

@description('Microsoft Entra tenant; empty for none.')
param entraTenantId string

@description('Audience of Microsoft Entra tokens; empty for none.')
param entraAudience string

@description('Client id by which the console signs in; empty for that of the audience.')
param entraClientId string

@description('Whether a token needs a role.')
param entraRoles string

@description('Key Vault reference of the keys that only read; empty for none.')
param readKeysReference string

@description('Requests per 10 seconds and access key; 0 for no limit.')
param rateLimit int

@description('Let rules call private addresses.')
param rulesAllowPrivateNetworks bool

@description('IP ranges that may call; empty for all.')
param allowedIpRanges string[]

@description('Subnet for outgoing traffic; empty for none.')
param virtualNetworkSubnetId string

// What the Functions host and its Python worker read.
var platformSettings = {
  // The name beside the address: with the address alone a starting host may find no storage (azure-functions-host#11787).
  // Blobs only: no trigger of the router needs the host's queues or tables.
  AzureWebJobsStorage__accountName: hostStorageName
  AzureWebJobsStorage__blobServiceUri: hostBlobEndpoint
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  // The root tells nobody what runs here.
  AzureWebJobsDisableHomepage: 'true'
}

var routerSettings = {
  ROUTER_TABLES_ENDPOINT: tablesEndpoint
  ROUTER_ACCESS_KEYS: accessKeysReference
  ROUTER_SECRETS_KEY: policyKeyReference
  ROUTER_EVENTGRID_ENDPOINT: topicEndpoint
  ROUTER_EVENTGRID_SCHEMA: eventSchema
  ROUTER_RATE_LIMIT: string(rateLimit)
  ROUTER_RULES_ALLOW_PRIVATE_NETWORKS: rulesAllowPrivateNetworks ? 'true' : 'false'
  AZURE_CLIENT_ID: identityClientId
}

var prefixSettings = empty(tablesPrefix)
  ? {}
  : {
      ROUTER_TABLES_PREFIX: tablesPrefix
    }

// Up to Python 3.12 the worker brings an azure-functions of its own, which may be too old for CloudEvents: the app's counts.
var cloudEventsSettings = eventSchema == 'EventGrid'
  ? {}
  : {
      PYTHON_ISOLATE_WORKER_DEPENDENCIES: '1'
    }

// Both or neither: with one of the two the app does not start.
var entraSettings = empty(entraTenantId) || empty(entraAudience)
  ? {}
  : {
      ROUTER_ENTRA_TENANT_ID: entraTenantId
      ROUTER_ENTRA_AUDIENCE: entraAudience
    }

var rolesSettings = entraRoles == 'optional'
  ? {}
  : {
      ROUTER_ENTRA_ROLES: entraRoles
    }

var clientIdSettings = empty(entraClientId)
  ? {}
  : {
      ROUTER_ENTRA_CLIENT_ID: entraClientId
    }

var readKeysSettings = empty(readKeysReference)
  ? {}
  : {
      ROUTER_READ_KEYS: readKeysReference
    }

// Event Grid pushes over the public endpoint, so it stays allowed; so do availability tests.
type rules = resourceInput<'Microsoft.Web/sites@2025-03-01'>.properties.siteConfig.ipSecurityRestrictions

var serviceRules rules = [
  { name: 'event-grid', tag: 'ServiceTag', ipAddress: 'AzureEventGrid', action: 'Allow', priority: 100 }
  {
    name: 'availability-tests'
    tag: 'ServiceTag'
    ipAddress: 'ApplicationInsightsAvailability'
    action: 'Allow'
    priority: 110
  }
]
var rangeRules rules = [
  for (range, index) in allowedIpRanges: {
    name: 'range-${index}'
    tag: 'Default'
    ipAddress: range
    action: 'Allow'
    priority: 200 + index
  }
]

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'router' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(virtualNetworkSubnetId) ? null : virtualNetworkSubnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReady
        triggers: {
          http: {
            perInstanceConcurrency: httpConcurrency
          }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      ipSecurityRestrictionsDefaultAction: empty(allowedIpRanges) ? 'Allow' : 'Deny'
      ipSecurityRestrictions: empty(allowedIpRanges) ? [] : concat(serviceRules, rangeRules)
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: union(
      platformSettings,
      routerSettings,
      prefixSettings,
      cloudEventsSettings,
      entraSettings,
      rolesSettings,
      clientIdSettings,
      readKeysSettings
    )
  }

  // No user names and passwords: deployment uses the deployer's Microsoft Entra token.
  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }
}

output id string = app.id
output name string = app.name
output endpoint string = 'https://${app.properties.defaultHostName}'
