// A private network, and instances in several availability zones.
using '../main.bicep'

param environmentName = 'router'
param location = 'westeurope'
param privateNetworking = true
param zoneRedundant = true
param alwaysReady = [
  { name: 'http', instanceCount: 2 }
  { name: 'function:OnDeadlines', instanceCount: 2 }
]
