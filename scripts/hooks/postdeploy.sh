#!/bin/sh
# Subscribes the router's functions to its topic, once the app can read its keys and shows its functions. Needs az, signed in.
# Roles and functions of a fresh deployment are seen only after a while: so each step is tried for some minutes.
set -eu

fail() {
  echo "$1" >&2
  exit 1
}

missing=
for name in AZURE_SUBSCRIPTION_ID AZURE_RESOURCE_GROUP AZURE_EVENTGRID_TOPIC_NAME AZURE_FUNCTION_APP_NAME AZURE_HOST_STORAGE_NAME AZURE_DEAD_LETTER_CONTAINER AZURE_EVENTGRID_SCHEMA AZURE_KEY_VAULT_NAME ROUTER_ENDPOINT ROUTER_CONNECTION_STRING_COMMAND; do
  eval "value=\${$name:-}"
  if [ -z "$value" ]; then missing="$missing $name"; fi
done
if [ -n "$missing" ]; then
  fail "Not set in the azd environment:$missing. Run 'azd provision', then 'azd hooks run postdeploy'."
fi
if ! command -v az >/dev/null 2>&1; then
  fail "The Azure CLI (az) is needed for the event subscriptions: install it, run 'az login', then 'azd hooks run postdeploy'."
fi
if ! az account show --subscription "$AZURE_SUBSCRIPTION_ID" --only-show-errors --output none; then
  fail "The Azure CLI is not signed in to the subscription $AZURE_SUBSCRIPTION_ID: run 'az login', then 'azd hooks run postdeploy'."
fi

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
template="$here/../../infra/event-subscriptions.bicep"
app="/subscriptions/$AZURE_SUBSCRIPTION_ID/resourceGroups/$AZURE_RESOURCE_GROUP/providers/Microsoft.Web/sites/$AZURE_FUNCTION_APP_NAME"

# A reference that the app could not read at first stays its own text for up to a day: it is read anew here.
attempt=1
while :; do
  az rest --method post --url "$app/config/configreferences/appsettings/refresh?api-version=2022-03-01" --only-show-errors --output none || :
  if unresolved=$(az rest --method get --url "$app/config/configreferences/appsettings?api-version=2022-03-01" --query "value[?properties.status!='Resolved'].name" --only-show-errors --output tsv) && [ -z "$(printf '%s' "$unresolved" | tr -d '\r')" ]; then
    break
  fi
  if [ "$attempt" -ge 10 ]; then
    fail "The app cannot read its keys from the vault $AZURE_KEY_VAULT_NAME: see that the secrets are there and that the app's identity has the role Key Vault Secrets User, then 'azd hooks run postdeploy'."
  fi
  attempt=$((attempt + 1))
  echo "The app cannot read its keys yet; attempt $attempt of 10 in 30 seconds." >&2
  sleep 30
done

attempt=1
while :; do
  az rest --method post --url "$app/host/default/sync?api-version=2022-03-01" --only-show-errors --output none || :
  if az deployment group create \
    --subscription "$AZURE_SUBSCRIPTION_ID" \
    --resource-group "$AZURE_RESOURCE_GROUP" \
    --name event-subscriptions \
    --template-file "$template" \
    --parameters \
      topicName="$AZURE_EVENTGRID_TOPIC_NAME" \
      functionAppName="$AZURE_FUNCTION_APP_NAME" \
      deadLetterStorageName="$AZURE_HOST_STORAGE_NAME" \
      deadLetterContainerName="$AZURE_DEAD_LETTER_CONTAINER" \
      eventSchema="$AZURE_EVENTGRID_SCHEMA" \
    --only-show-errors \
    --output none; then
    break
  fi
  if [ "$attempt" -ge 10 ]; then
    fail "The event subscriptions could not be created; az says above why. Run 'azd hooks run postdeploy' again when the functions are listed in the portal."
  fi
  attempt=$((attempt + 1))
  echo "The functions are not visible yet; attempt $attempt of 10 in 30 seconds." >&2
  sleep 30
done

echo "Router: $ROUTER_ENDPOINT"
echo "Connection string: $ROUTER_CONNECTION_STRING_COMMAND"
