#!/bin/sh
# Makes the keys of a first deployment. They pass through the azd environment into the key vault (main.parameters.json);
# postprovision.sh removes them again. A vault that has keys keeps them, whatever this script makes.
set -eu

# A region without Flex Consumption is told here, and not after some minutes by an error of the platform.
if [ -n "${AZURE_LOCATION:-}" ] && command -v az >/dev/null 2>&1; then
  offered=$(az functionapp list-flexconsumption-locations --query '[].name' --output tsv 2>/dev/null | tr -d ' \r' | tr '[:upper:]' '[:lower:]') || offered=
  location=$(printf '%s' "$AZURE_LOCATION" | tr -d ' ' | tr '[:upper:]' '[:lower:]')
  if [ -n "$offered" ] && ! printf '%s\n' "$offered" | grep -qx "$location"; then
    echo "The region $AZURE_LOCATION does not offer Flex Consumption. Choose one of: $(printf '%s' "$offered" | tr '\n' ' '). Then 'azd env set AZURE_LOCATION <region>' and again." >&2
    exit 1
  fi
fi

new_key() {
  key=$(head -c 32 /dev/urandom | base64 | tr -d '\n')
  if [ "${#key}" -ne 44 ]; then
    echo "No random key could be made: head, base64 and /dev/urandom are needed." >&2
    exit 1
  fi
}

if [ -n "${ROUTER_KEYS_VAULT:-}" ] || [ -n "${ROUTER_NEW_ACCESS_KEYS:-}" ]; then
  exit 0
fi
new_key
azd env set ROUTER_NEW_SECRETS_KEY "$key"
new_key
first=$key
new_key
azd env set ROUTER_NEW_ACCESS_KEYS "$first,$key"
