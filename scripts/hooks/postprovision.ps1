# The keys are in the vault now: forget them here, and remember which vault has them.
$ErrorActionPreference = 'Stop'

if (-not $env:AZURE_KEY_VAULT_NAME) {
    [Console]::Error.WriteLine("Not set in the azd environment: AZURE_KEY_VAULT_NAME. Run 'azd provision' again: the keys stay where they are until then.")
    exit 1
}
azd env set ROUTER_KEYS_VAULT $env:AZURE_KEY_VAULT_NAME
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
azd env set 'ROUTER_NEW_ACCESS_KEYS='
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
azd env set 'ROUTER_NEW_SECRETS_KEY='
exit $LASTEXITCODE
