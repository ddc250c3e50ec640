#!/bin/sh
# Subscribes the router's functions to its topic. Needs az, logged in. Event Grid refuses a function that it cannot see yet,
# and a fresh deployment shows its functions only after a while: so try for some minutes.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
template="$here/../../infra/event-subscriptions.bicep"

if ! command -v az >/dev/null 2>&1; then
  echo "The Azure CLI (az) is needed for the event subscriptions: install it, run 'az login', then 'azd hooks run postdeploy'." >&2
  exit 1
fi

attempt=1
until az deployment group create \
  --subscription "$AZURE_SUBSCRIPTION_ID" \
  --resource-group "$AZURE_RESOURCE_GROUP" \
  --name event-subscriptions \
  --template-file "$template" \
  --parameters \
    topicName="$AZURE_EVENTGRID_TOPIC_NAME" \
    functionAppName="$AZURE_FUNCTION_APP_NAME" \
    deadLetterStorageName="$AZURE_HOST_STORAGE_NAME" \
    deadLetterContainerName="$AZURE_DEAD_LETTER_CONTAINER" \
    eventSchema="$ROUTER_EVENTGRID_SCHEMA" \
  --only-show-errors \
  --output none; do
  if [ "$attempt" -ge 10 ]; then
    echo "The event subscriptions could not be created. Run 'azd hooks run postdeploy' again when the functions are listed in the portal." >&2
    exit 1
  fi
  attempt=$((attempt + 1))
  echo "The functions are not visible yet; attempt $attempt of 10 in 30 seconds." >&2
  sleep 30
done

echo "Router: $ROUTER_ENDPOINT"
echo "Connection string: $ROUTER_CONNECTION_STRING_COMMAND"
