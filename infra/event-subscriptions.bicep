// The router's own event subscriptions: which events wake which function. Deployed after the code, into the resource group,
// because Event Grid refuses a function that does not exist yet.

@description('Event Grid topic of the router.')
param topicName string

@description('Function App with the router\'s code.')
param functionAppName string

@description('Storage account with the container for undeliverable events.')
param deadLetterStorageName string

@description('Container for undeliverable events.')
param deadLetterContainerName string = 'dead-letters'

@description('Schema of the topic.')
@allowed(['EventGrid', 'CloudEvents'])
param eventSchema string = 'EventGrid'

@description('Most events in one delivery. A delivery with one failed event is repeated whole, which the functions bear.')
@minValue(1)
@maxValue(5000)
param maxEventsPerBatch int = 20

@description('Preferred size of a delivery in kB.')
@minValue(1)
@maxValue(1024)
param preferredBatchSizeInKilobytes int = 64

@description('Deliveries tried for an event before it goes to the container.')
@minValue(1)
@maxValue(30)
param maxDeliveryAttempts int = 30

@description('Minutes that delivery is tried. Events only wake the router, whose timer catches up by itself: an old one is of no use.')
@minValue(1)
@maxValue(1440)
param eventTimeToLiveInMinutes int = 60

var subscriptions = loadJsonContent('event-subscriptions.json')

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

resource functionApp 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName
}

resource deadLetterStorage 'Microsoft.Storage/storageAccounts@2026-06-01' existing = {
  name: deadLetterStorageName
}

resource eventSubscriptions 'Microsoft.EventGrid/topics/eventSubscriptions@2025-02-15' = [
  for item in subscriptions: {
    parent: topic
    name: item.name
    properties: {
      destination: {
        endpointType: 'AzureFunction'
        properties: {
          resourceId: '${functionApp.id}/functions/${item.function}'
          maxEventsPerBatch: maxEventsPerBatch
          preferredBatchSizeInKilobytes: preferredBatchSizeInKilobytes
        }
      }
      eventDeliverySchema: eventSchema == 'CloudEvents' ? 'CloudEventSchemaV1_0' : 'EventGridSchema'
      filter: {
        includedEventTypes: item.includedEventTypes
      }
      retryPolicy: {
        maxDeliveryAttempts: maxDeliveryAttempts
        eventTimeToLiveInMinutes: eventTimeToLiveInMinutes
      }
      deadLetterWithResourceIdentity: {
        identity: {
          type: 'SystemAssigned'
        }
        deadLetterDestination: {
          endpointType: 'StorageBlob'
          properties: {
            resourceId: deadLetterStorage.id
            blobContainerName: deadLetterContainerName
          }
        }
      }
    }
  }
]
