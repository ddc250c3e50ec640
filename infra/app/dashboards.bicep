// What people look at: the workbook, the alerts with whom they tell, and the availability test of /health.

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Short hash that makes names unique.')
param token string

@description('Application Insights resource that nearly everything here reads.')
param applicationInsightsName string

@description('Log Analytics workspace under it, which knows how much it takes in.')
param workspaceName string

@description('Upper bound of ingestion in GB a day; -1 for none.')
param dailyCapGB int

@description('E-mail address for alerts; empty for none.')
param alertEmail string

@description('Test healthUrl from outside.')
param availabilityTest bool

@description('URL of /health.')
param healthUrl string

var alerts = loadJsonContent('../alerts.json')
var capAlerts = loadJsonContent('../cap-alerts.json')
var workbookContent = loadJsonContent('../workbook.json')

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2026-03-01' existing = {
  name: workspaceName
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(applicationInsights.id, 'job-router')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Job Router'
    category: 'workbook'
    sourceId: applicationInsights.id
    serializedData: string(union(workbookContent, { fallbackResourceIds: [applicationInsights.id] }))
  }
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: 'ag-router-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'job-router'
    enabled: true
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for alert in alerts: {
    name: '${alert.name}-${token}'
    location: location
    tags: tags
    properties: {
      displayName: alert.displayName
      description: alert.description
      severity: alert.severity
      enabled: true
      // A workspace that is minutes old has no tables yet, and a query over them is refused (SEM0100).
      skipQueryValidation: true
      scopes: [applicationInsights.id]
      evaluationFrequency: alert.evaluationFrequency
      windowSize: alert.windowSize
      criteria: {
        allOf: [
          {
            query: alert.query
            timeAggregation: alert.timeAggregation
            metricMeasureColumn: alert.?metricMeasureColumn
            operator: alert.operator
            threshold: alert.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      autoMitigate: true
      actions: {
        actionGroups: empty(alertEmail) ? [] : [people.id]
      }
    }
  }
]

// At the daily cap the workspace takes in no more telemetry, and the rules above see nothing, also no fault. These two read
// what Log Analytics itself writes, which the cap does not stop.
resource capRules 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in capAlerts: if (dailyCapGB > 0) {
    name: '${rule.name}-${token}'
    location: location
    tags: tags
    properties: {
      displayName: rule.displayName
      description: rule.description
      severity: rule.severity
      enabled: true
      skipQueryValidation: true
      scopes: [workspace.id]
      evaluationFrequency: rule.evaluationFrequency
      windowSize: rule.windowSize
      criteria: {
        allOf: [
          {
            query: replace(rule.query, '{dailyCapGB}', string(dailyCapGB))
            timeAggregation: rule.timeAggregation
            metricMeasureColumn: rule.metricMeasureColumn
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      autoMitigate: true
      actions: {
        actionGroups: empty(alertEmail) ? [] : [people.id]
      }
    }
  }
]

resource availability 'Microsoft.Insights/webtests@2022-06-15' = if (availabilityTest) {
  name: 'health-${token}'
  location: location
  tags: union(tags, { 'hidden-link:${applicationInsights.id}': 'Resource' })
  kind: 'standard'
  properties: {
    Name: 'Job Router health'
    SyntheticMonitorId: 'health-${token}'
    Kind: 'standard'
    Enabled: true
    Frequency: 300
    Timeout: 30
    RetryEnabled: true
    Locations: [
      { Id: 'emea-nl-ams-azr' }
      { Id: 'us-va-ash-azr' }
      { Id: 'apac-sg-sin-azr' }
    ]
    Request: {
      RequestUrl: healthUrl
      HttpVerb: 'GET'
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 7
    }
  }
}

resource unavailable 'Microsoft.Insights/metricAlerts@2026-01-01' = if (availabilityTest) {
  name: 'unavailable-${token}'
  location: 'global'
  tags: union(tags, {
    'hidden-link:${applicationInsights.id}': 'Resource'
    'hidden-link:${availability.id}': 'Resource'
  })
  properties: {
    description: 'Job Router: /health fails from outside. Two of the three regions that ask got no 200 within five minutes.'
    severity: 1
    enabled: true
    scopes: [availability.id, applicationInsights.id]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: availability.id
      componentId: applicationInsights.id
      failedLocationCount: 2
    }
    autoMitigate: true
    actions: empty(alertEmail) ? [] : [{ actionGroupId: people.id }]
  }
}
