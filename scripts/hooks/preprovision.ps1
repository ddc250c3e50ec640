# Makes the keys of a first deployment. They pass through the azd environment into the key vault (main.parameters.json);
# postprovision.ps1 removes them again. A vault that has keys keeps them, whatever this script makes.
$ErrorActionPreference = 'Stop'

# A region without Flex Consumption is told here, and not after some minutes by an error of the platform.
if ($env:AZURE_LOCATION -and (Get-Command az -ErrorAction SilentlyContinue)) {
    $ErrorActionPreference = 'Continue'
    $offered = @(az functionapp list-flexconsumption-locations --query '[].name' --output tsv 2>$null | ForEach-Object { "$_".Replace(' ', '').Trim().ToLowerInvariant() } | Where-Object { $_ })
    if ($LASTEXITCODE -ne 0) { $offered = @() }
    $ErrorActionPreference = 'Stop'
    $location = $env:AZURE_LOCATION.Replace(' ', '').ToLowerInvariant()
    if ($offered.Count -gt 0 -and $offered -notcontains $location) {
        [Console]::Error.WriteLine("The region $env:AZURE_LOCATION does not offer Flex Consumption. Choose one of: $($offered -join ' '). Then 'azd env set AZURE_LOCATION <region>' and again.")
        exit 1
    }
}

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
