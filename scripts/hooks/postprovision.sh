#!/bin/sh
# The keys are in the vault now: forget them here, and remember which vault has them.
set -eu

if [ -z "${AZURE_KEY_VAULT_NAME:-}" ]; then
  echo "Not set in the azd environment: AZURE_KEY_VAULT_NAME. Run 'azd provision' again: the keys stay where they are until then." >&2
  exit 1
fi
azd env set ROUTER_KEYS_VAULT "$AZURE_KEY_VAULT_NAME"
azd env set "ROUTER_NEW_ACCESS_KEYS="
azd env set "ROUTER_NEW_SECRETS_KEY="
