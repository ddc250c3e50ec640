#!/bin/sh
# Makes the keys of a first deployment. They pass through the azd environment into the key vault (main.parameters.json);
# postprovision.sh removes them again. A vault that has keys keeps them, whatever this script makes.
set -eu

new_key() {
  head -c 32 /dev/urandom | base64 | tr -d '\n'
}

if [ -n "${ROUTER_KEYS_VAULT:-}" ] || [ -n "${ROUTER_NEW_ACCESS_KEYS:-}" ]; then
  exit 0
fi
azd env set ROUTER_NEW_SECRETS_KEY "$(new_key)"
azd env set ROUTER_NEW_ACCESS_KEYS "$(new_key),$(new_key)"
