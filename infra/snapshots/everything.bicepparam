// Every choice taken at once.
using '../main.bicep'

param environmentName = 'router'
param location = 'westeurope'
param resourceGroupName = 'rg-everything'
param tags = { owner: 'routing' }
param operatorPrincipalId = '00000000-0000-0000-0000-00000000000a'
param accessKeys = 'from the preprovision hook'
param secretsKey = 'from the preprovision hook'
param dataStore = 'cosmos'
param cosmosReadRegions = ['northeurope', 'francecentral']
param cosmosZoneRedundant = true
param tablesPrefix = 'one'
param eventSchema = 'CloudEvents'
param instanceMemoryMB = 512
param zoneRedundant = true
param alwaysReady = [
  { name: 'http', instanceCount: 2 }
  { name: 'function:OnDeadlines', instanceCount: 2 }
]
param privateNetworking = true
param networkSecurityGroups = true
param allowedIpRanges = ['203.0.113.0/24']
param rateLimit = 1000
param entraTenantId = '00000000-0000-0000-0000-00000000000b'
param entraAudience = 'api://job-router'
param entraClientId = '00000000-0000-0000-0000-00000000000c'
param entraRoles = 'required'
param readKeysReference = '@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/router-read-keys)'
param rulesAllowPrivateNetworks = true
param alertEmail = 'operator@example.com'
param availabilityTest = true
param logRetentionDays = 90
param logDailyCapGB = -1
param vaultPurgeProtection = true
