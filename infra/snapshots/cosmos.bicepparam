// Azure Cosmos DB for Table with a second region.
using '../main.bicep'

param environmentName = 'router'
param location = 'westeurope'
param dataStore = 'cosmos'
param cosmosReadRegions = ['northeurope']
