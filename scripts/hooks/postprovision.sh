#!/bin/sh
# The keys are in the vault now: forget them here, and remember which vault has them.
set -eu

azd env set ROUTER_KEYS_VAULT "$AZURE_KEY_VAULT_NAME"
azd env set "ROUTER_NEW_ACCESS_KEYS="
azd env set "ROUTER_NEW_SECRETS_KEY="
