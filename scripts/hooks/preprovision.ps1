# Makes the keys of a first deployment. They pass through the azd environment into the key vault (main.parameters.json);
# postprovision.ps1 removes them again. A vault that has keys keeps them, whatever this script makes.
$ErrorActionPreference = 'Stop'

function New-Key {
    $bytes = [byte[]]::new(32)
    $random = [System.Security.Cryptography.RandomNumberGenerator]::Create()
    $random.GetBytes($bytes)
    $random.Dispose()
    [Convert]::ToBase64String($bytes)
}

if ($env:ROUTER_KEYS_VAULT -or $env:ROUTER_NEW_ACCESS_KEYS) { exit 0 }
azd env set ROUTER_NEW_SECRETS_KEY (New-Key)
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
azd env set ROUTER_NEW_ACCESS_KEYS "$(New-Key),$(New-Key)"
exit $LASTEXITCODE
