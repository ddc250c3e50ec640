// The key vault with the two secrets that the router has: its access keys and the key that encrypts secrets in policies.

@description('Name of the key vault.')
@maxLength(24)
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('One or two base64 keys, comma-separated. Empty: do not touch the secret.')
@secure()
param accessKeys string

@description('Base64 key of 32 bytes. Empty: do not touch the secret.')
@secure()
param secretsKey string

@description('Forbid purging before the soft-delete period ends.')
param purgeProtection bool

@description('Log Analytics workspace that keeps who read the keys.')
param workspaceName string

@description('Close the vault to all but the private endpoint.')
param privateNetworking bool

var accessKeysSecretName = 'router-access-keys'
var secretsKeySecretName = 'router-secrets-key'

resource vault 'Microsoft.KeyVault/vaults@2026-05-15' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 30
    // The property may be absent or true, never false.
    enablePurgeProtection: purgeProtection ? true : null
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: privateNetworking ? 'Deny' : 'Allow'
    }
  }
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2026-03-01' existing = {
  name: workspaceName
}

// The only record of who read the keys. Category groups have no stable version.
#disable-next-line use-recent-api-versions
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: vault
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

// Only if not there: a second deployment, from another machine or a pipeline, never undoes a rotation.
@onlyIfNotExists()
resource accessKeysSecret 'Microsoft.KeyVault/vaults/secrets@2026-05-15' = if (!empty(accessKeys)) {
  parent: vault
  name: accessKeysSecretName
  properties: {
    value: accessKeys
    contentType: 'one or two base64 keys, comma-separated'
  }
}

@onlyIfNotExists()
resource secretsKeySecret 'Microsoft.KeyVault/vaults/secrets@2026-05-15' = if (!empty(secretsKey)) {
  parent: vault
  name: secretsKeySecretName
  properties: {
    value: secretsKey
    contentType: 'base64 key of 32 bytes'
  }
}

output id string = vault.id
output name string = vault.name
output accessKeysSecretName string = accessKeysSecretName
// Without a version: the app picks up a new one within a day, or at once when it is told to refresh.
output accessKeysReference string = '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/${accessKeysSecretName})'
output policyKeyReference string = '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/${secretsKeySecretName})'
