# Subscribes the router's functions to its topic. Needs az, logged in. Event Grid refuses a function that it cannot see yet,
# and a fresh deployment shows its functions only after a while: so try for some minutes.
$ErrorActionPreference = 'Stop'

$template = Join-Path $PSScriptRoot '..' '..' 'infra' 'event-subscriptions.bicep'

if (-not (Get-Command az -ErrorAction SilentlyContinue)) {
    [Console]::Error.WriteLine("The Azure CLI (az) is needed for the event subscriptions: install it, run 'az login', then 'azd hooks run postdeploy'.")
    exit 1
}

for ($attempt = 1; ; $attempt++) {
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
            eventSchema=$env:ROUTER_EVENTGRID_SCHEMA `
        --only-show-errors `
        --output none
    if ($LASTEXITCODE -eq 0) { break }
    if ($attempt -ge 10) {
        [Console]::Error.WriteLine("The event subscriptions could not be created. Run 'azd hooks run postdeploy' again when the functions are listed in the portal.")
        exit 1
    }
    Write-Host "The functions are not visible yet; attempt $($attempt + 1) of 10 in 30 seconds."
    Start-Sleep -Seconds 30
}

Write-Host "Router: $env:ROUTER_ENDPOINT"
Write-Host "Connection string (in a POSIX shell): $env:ROUTER_CONNECTION_STRING_COMMAND"
