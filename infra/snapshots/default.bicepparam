// What `azd up` makes of an environment in which nothing is set.
using '../main.bicep'

param environmentName = 'router'
param location = 'westeurope'
param operatorPrincipalId = '00000000-0000-0000-0000-00000000000a'
param accessKeys = 'from the preprovision hook'
param secretsKey = 'from the preprovision hook'
