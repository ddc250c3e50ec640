// Log Analytics and the Application Insights resource on top of it.

@description('Name of the Log Analytics workspace.')
param workspaceName string

@description('Name of the Application Insights resource.')
param applicationInsightsName string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Days that data is kept.')
param retentionDays int

@description('Upper bound of ingestion in GB a day; -1 for none.')
param dailyCapGB int

@description('Save the function that answers queries for ACS Job Router\'s own log table.')
param incomingOperationsFunction bool

resource workspace 'Microsoft.OperationalInsights/workspaces@2026-03-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    workspaceCapping: {
      dailyQuotaGb: dailyCapGB
    }
    features: {
      disableLocalAuth: true
    }
  }
}

// Queries and dashboards made for ACS go on working: a function is called as a table is read.
resource incomingOperations 'Microsoft.OperationalInsights/workspaces/savedSearches@2026-03-01' = if (incomingOperationsFunction) {
  parent: workspace
  name: 'acs-job-router-incoming-operations'
  properties: {
    category: 'Job Router'
    displayName: 'ACSJobRouterIncomingOperations'
    functionAlias: 'ACSJobRouterIncomingOperations'
    query: loadTextContent('../incoming-operations.kql')
    version: 2
  }
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    IngestionMode: 'LogAnalytics'
    // Telemetry is accepted from identities with a role only; the connection string alone opens nothing.
    DisableLocalAuth: true
    // Without this the metric store drops the dimensions of ApiRequestRouter. The published type lacks the property.
    #disable-next-line BCP037
    CustomMetricsOptedInType: 'WithDimensions'
  }
}

output applicationInsightsId string = applicationInsights.id
output applicationInsightsName string = applicationInsights.name
output connectionString string = applicationInsights.properties.ConnectionString
output workspaceId string = workspace.id
