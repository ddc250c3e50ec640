// Microsoft Entra tokens, alerts by e-mail and the availability test.
using '../main.bicep'

param environmentName = 'router'
param location = 'westeurope'
param entraTenantId = '00000000-0000-0000-0000-00000000000b'
param entraAudience = 'api://job-router'
param alertEmail = 'operator@example.com'
param availabilityTest = true
