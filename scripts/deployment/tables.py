"""What Azure calls things: built-in roles, settings of the Functions platform, keys of azure.yaml."""

from __future__ import annotations

from typing import Final

#: The built-in roles that the templates may assign, by the id that is the same in every tenant.
ROLES: Final = {
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "d5a91429-5739-47e2-a06b-3470a27159e7": "EventGrid Data Sender",
}

#: Roles of a data plane of its own, which Azure RBAC does not know.
DATA_PLANE_ROLES: Final = {
    "00000000-0000-0000-0000-000000000002": "Cosmos DB Built-in Data Contributor",
}

#: What an alert rule may compare with.
ALERT_OPERATORS: Final = {"Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"}

#: Variables that only development knows: of the local start, and of tests.
DEVELOPMENT_VARIABLES: Final = {
    "ROUTER_EVENT_SUBSCRIBERS",
    "ROUTER_MIGRATE_FULL",
    "ROUTER_ACCEPTANCE_CONNECTION_STRING",
}

#: What each role is given for, as `resource symbol in roles.bicep: role`. One line here is one reviewed decision.
ASSIGNMENTS: Final = {
    "appOnHostStorage": "Storage Blob Data Owner",
    "appOnDataStorage": "Storage Table Data Contributor",
    "appOnTopic": "EventGrid Data Sender",
    "appOnApplicationInsights": "Monitoring Metrics Publisher",
    "appOnVault": "Key Vault Secrets User",
    "operatorOnVault": "Key Vault Secrets Officer",
    "topicOnDeadLetters": "Storage Blob Data Contributor",
}

#: Settings that the Functions host, its Python worker or the Azure SDK read. True: the templates must set it.
PLATFORM_SETTINGS: Final = {
    "AzureWebJobsStorage__blobServiceUri": True,
    "AzureWebJobsStorage__credential": True,
    "AzureWebJobsStorage__clientId": True,
    "APPLICATIONINSIGHTS_CONNECTION_STRING": True,
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": True,
    "AzureWebJobsDisableHomepage": True,
    "AzureWebJobsStorage__accountName": False,
    "AzureWebJobsStorage__queueServiceUri": False,
    "AzureWebJobsStorage__tableServiceUri": False,
    "OTEL_METRIC_EXPORT_INTERVAL": False,
    "OTEL_TRACES_SAMPLER": False,
    "OTEL_TRACES_SAMPLER_ARG": False,
}

#: Settings that the code can do without, and a deployment without keys cannot.
IDENTITY_SETTINGS: Final = {"ROUTER_TABLES_ENDPOINT", "ROUTER_SECRETS_KEY", "AZURE_CLIENT_ID"}

#: Secret by kind, though with local authentication off it opens nothing.
HARMLESS_SECRETS: Final = {"APPLICATIONINSIGHTS_CONNECTION_STRING"}

#: Settings that Flex Consumption refuses or ignores: functionAppConfig has taken their place.
RETIRED_SETTINGS: Final = {
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_DNS_SERVER",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_NODE_DEFAULT_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
    "WEBSITE_TIME_ZONE",
    "WEBSITE_VNET_ROUTE_ALL",
}

#: Properties that a resource type must have with this value, by path; the promise of docs/security.md.
SAFE_DEFAULTS: Final = {
    "Microsoft.Storage/storageAccounts": {
        "allowSharedKeyAccess": "false",
        "allowBlobPublicAccess": "false",
        "minimumTlsVersion": "'TLS1_2'",
        "supportsHttpsTrafficOnly": "true",
    },
    "Microsoft.EventGrid/topics": {"disableLocalAuth": "true", "minimumTlsVersionAllowed": "'1.2'"},
    "Microsoft.DocumentDB/databaseAccounts": {
        "disableLocalAuth": "true",
        "minimalTlsVersion": "'Tls12'",
        "enableMultipleWriteLocations": "false",
    },
    "Microsoft.KeyVault/vaults": {"enableRbacAuthorization": "true", "enableSoftDelete": "true"},
    "Microsoft.Insights/components": {
        "DisableLocalAuth": "true",
        "CustomMetricsOptedInType": "'WithDimensions'",
    },
    "Microsoft.Web/sites": {"httpsOnly": "true"},
}

#: Keys of azure.yaml by its published schema (v1.0), at the levels that the project uses.
AZURE_YAML_KEYS: Final = {
    "name", "resourceGroup", "metadata", "infra", "services", "resources", "pipeline", "hooks",
    "requiredVersions", "state", "platform", "workflows", "cloud",
}  # fmt: skip
#: Keys of its objects. The schema lets others pass unread; here that would be a misspelt one.
AZURE_YAML_OBJECT_KEYS: Final = {
    "metadata": {"template"},
    "infra": {"provider", "path", "module", "layers"},
    "requiredVersions": {"azd", "extensions"},
}
AZURE_YAML_HOSTS: Final = {"appservice", "containerapp", "function", "springapp", "staticwebapp", "aks"}
AZURE_YAML_SERVICE_KEYS: Final = {
    "resourceGroup", "resourceName", "project", "host", "language", "module", "dist", "remoteBuild",
    "config", "uses", "hooks",
}  # fmt: skip
AZURE_YAML_LANGUAGES: Final = {"dotnet", "csharp", "fsharp", "py", "python", "js", "ts", "java"}
AZURE_YAML_HOOKS: Final = {
    f"{when}{what}"
    for when in ("pre", "post")
    for what in (
        "provision", "infracreate", "infradelete", "down", "up", "package", "publish", "deploy", "restore",
    )
}  # fmt: skip
AZURE_YAML_HOOK_KEYS: Final = {
    "shell", "kind", "dir", "run", "continueOnError", "interactive", "windows", "posix", "secrets", "config",
}  # fmt: skip
