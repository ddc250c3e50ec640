// A private network, and instances in several availability zones.
using '../main.bicep'

param environmentName = 'router'
param location = 'westeurope'
param privateNetworking = true
param zoneRedundant = true
