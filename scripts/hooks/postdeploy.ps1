# Subscribes the router's functions to its topic, once the app can read its keys and shows its functions. Needs az, signed in.
# Roles and functions of a fresh deployment are seen only after a while: so each step is tried for some minutes.
$ErrorActionPreference = 'Continue'

function Stop-Hook([string] $message) {
    [Console]::Error.WriteLine($message)
    exit 1
}

$names = @('AZURE_SUBSCRIPTION_ID', 'AZURE_RESOURCE_GROUP', 'AZURE_EVENTGRID_TOPIC_NAME', 'AZURE_FUNCTION_APP_NAME', 'AZURE_HOST_STORAGE_NAME', 'AZURE_DEAD_LETTER_CONTAINER', 'AZURE_EVENTGRID_SCHEMA', 'AZURE_KEY_VAULT_NAME', 'ROUTER_ENDPOINT', 'ROUTER_CONNECTION_STRING_COMMAND')
$missing = @($names | Where-Object { -not [Environment]::GetEnvironmentVariable($_) })
if ($missing.Count -gt 0) {
    Stop-Hook "Not set in the azd environment: $($missing -join ' '). Run 'azd provision', then 'azd hooks run postdeploy'."
}
if (-not (Get-Command az -ErrorAction SilentlyContinue)) {
    Stop-Hook "The Azure CLI (az) is needed for the event subscriptions: install it, run 'az login', then 'azd hooks run postdeploy'."
}
az account show --subscription $env:AZURE_SUBSCRIPTION_ID --only-show-errors --output none
if ($LASTEXITCODE -ne 0) {
    Stop-Hook "The Azure CLI is not signed in to the subscription ${env:AZURE_SUBSCRIPTION_ID}: run 'az login', then 'azd hooks run postdeploy'."
}

$infra = Join-Path (Join-Path (Join-Path $PSScriptRoot '..') '..') 'infra'
$template = Join-Path $infra 'event-subscriptions.bicep'
$app = "/subscriptions/$env:AZURE_SUBSCRIPTION_ID/resourceGroups/$env:AZURE_RESOURCE_GROUP/providers/Microsoft.Web/sites/$env:AZURE_FUNCTION_APP_NAME"

# A reference that the app could not read at first stays its own text for up to a day: it is read anew here.
for ($attempt = 1; ; ) {
    az rest --method post --url "$app/config/configreferences/appsettings/refresh?api-version=2022-03-01" --only-show-errors --output none
    $unresolved = az rest --method get --url "$app/config/configreferences/appsettings?api-version=2022-03-01" --query "value[?properties.status!='Resolved'].name" --only-show-errors --output tsv
    if ($LASTEXITCODE -eq 0 -and -not "$unresolved".Trim()) { break }
    if ($attempt -ge 10) {
        Stop-Hook "The app cannot read its keys from the vault ${env:AZURE_KEY_VAULT_NAME}: see that the secrets are there and that the app's identity has the role Key Vault Secrets User, then 'azd hooks run postdeploy'."
    }
    $attempt++
    [Console]::Error.WriteLine("The app cannot read its keys yet; attempt $attempt of 10 in 30 seconds.")
    Start-Sleep -Seconds 30
}

for ($attempt = 1; ; ) {
    az rest --method post --url "$app/host/default/sync?api-version=2022-03-01" --only-show-errors --output none
    az deployment group create `
        --subscription $env:AZURE_SUBSCRIPTION_ID `
        --resource-group $env:AZURE_RESOURCE_GROUP `
        --name event-subscriptions `
        --template-file $template `
        --parameters `
            topicName=$env:AZURE_EVENTGRID_TOPIC_NAME `
            functionAppName=$env:AZURE_FUNCTION_APP_NAME `
            deadLetterStorageName=$env:AZURE_HOST_STORAGE_NAME `
            deadLetterContainerName=$env:AZURE_DEAD_LETTER_CONTAINER `
            eventSchema=$env:AZURE_EVENTGRID_SCHEMA `
        --only-show-errors `
        --output none
    if ($LASTEXITCODE -eq 0) { break }
    if ($attempt -ge 10) {
        Stop-Hook "The event subscriptions could not be created; az says above why. Run 'azd hooks run postdeploy' again when the functions are listed in the portal."
    }
    $attempt++
    [Console]::Error.WriteLine("The functions are not visible yet; attempt $attempt of 10 in 30 seconds.")
    Start-Sleep -Seconds 30
}

Write-Output "Router: $env:ROUTER_ENDPOINT"
Write-Output "Connection string (in a POSIX shell): $env:ROUTER_CONNECTION_STRING_COMMAND"
