# The vault is gone with its keys: a later deployment makes new ones.
azd env set 'ROUTER_KEYS_VAULT='
exit $LASTEXITCODE
