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

#: Variables that only development knows: of the local start, and of tests.
DEVELOPMENT_VARIABLES: Final = {
    "ROUTER_EVENT_SUBSCRIBERS",
    "ROUTER_MIGRATE_FULL",
    "ROUTER_ACCEPTANCE_CONNECTION_STRING",
    "ROUTER_CONNECTION_STRING",
}

#: Which role is given to whom on what: by the parameters of roles.bicep. One line here is one reviewed decision.
ASSIGNMENTS: Final = {
    ("appPrincipalId", "hostStorageName"): "Storage Blob Data Owner",
    ("appPrincipalId", "dataStorageName"): "Storage Table Data Contributor",
    ("appPrincipalId", "topicName"): "EventGrid Data Sender",
    ("appPrincipalId", "applicationInsightsName"): "Monitoring Metrics Publisher",
    ("appPrincipalId", "vaultName"): "Key Vault Secrets User",
    ("operatorPrincipalId", "vaultName"): "Key Vault Secrets Officer",
    ("topicPrincipalId", "deadLetterContainerName"): "Storage Blob Data Contributor",
}

#: Settings that the Functions host, its Python worker or the Azure SDK read. True: the templates must set it.
PLATFORM_SETTINGS: Final = {
    "AzureWebJobsStorage__accountName": True,
    "AzureWebJobsStorage__blobServiceUri": True,
    "AzureWebJobsStorage__credential": True,
    "AzureWebJobsStorage__clientId": True,
    "APPLICATIONINSIGHTS_CONNECTION_STRING": True,
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": True,
    "AzureWebJobsDisableHomepage": True,
    "AzureWebJobsStorage__queueServiceUri": False,
    "AzureWebJobsStorage__tableServiceUri": False,
    "PYTHON_ISOLATE_WORKER_DEPENDENCIES": False,
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

#: Open to the internet only without private networking, as docs/deployment.md tells.
_UNLESS_PRIVATE: Final = "[if(parameters('privateNetworking'), 'Disabled', 'Enabled')]"
_CLOSED_IF_PRIVATE: Final = "[if(parameters('privateNetworking'), 'Deny', 'Allow')]"

#: Properties that a resource type must have with this value, by their path below `properties`: the promise of
#: docs/security.md.
SAFE_DEFAULTS: Final[dict[str, dict[str, object]]] = {
    "Microsoft.Storage/storageAccounts": {
        "allowSharedKeyAccess": False,
        "allowBlobPublicAccess": False,
        "allowCrossTenantReplication": False,
        "defaultToOAuthAuthentication": True,
        "minimumTlsVersion": "TLS1_2",
        "supportsHttpsTrafficOnly": True,
        "networkAcls.defaultAction": _CLOSED_IF_PRIVATE,
    },
    "Microsoft.EventGrid/topics": {
        "disableLocalAuth": True,
        "minimumTlsVersionAllowed": "1.2",
        "publicNetworkAccess": _UNLESS_PRIVATE,
    },
    "Microsoft.DocumentDB/databaseAccounts": {
        "disableLocalAuth": True,
        "disableKeyBasedMetadataWriteAccess": True,
        "minimalTlsVersion": "Tls12",
        "publicNetworkAccess": _UNLESS_PRIVATE,
        "enableMultipleWriteLocations": False,
        "consistencyPolicy.defaultConsistencyLevel": "Strong",
    },
    "Microsoft.KeyVault/vaults": {
        "enableRbacAuthorization": True,
        "enableSoftDelete": True,
        "publicNetworkAccess": _UNLESS_PRIVATE,
        "networkAcls.defaultAction": _CLOSED_IF_PRIVATE,
    },
    "Microsoft.Insights/scheduledQueryRules": {"skipQueryValidation": True},
    "Microsoft.Insights/components": {
        "DisableLocalAuth": True,
        "CustomMetricsOptedInType": "WithDimensions",
    },
    "Microsoft.OperationalInsights/workspaces": {"features.disableLocalAuth": True},
    "Microsoft.Web/sites": {
        "httpsOnly": True,
        "siteConfig.minTlsVersion": "1.2",
        "siteConfig.ipSecurityRestrictionsDefaultAction": "[if(empty(parameters('allowedIpRanges')), 'Allow', 'Deny')]",
    },
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"allow": False},
}

#: Made at once in one subnet these fail now and then.
ONE_BY_ONE: Final = {"Microsoft.Network/privateEndpoints", "Microsoft.Network/privateEndpoints/privateDnsZoneGroups"}

#: Values of properties whose types are open: a text that Azure does not know compiles. By type and path.
OPEN_VALUES: Final[dict[str, dict[str, set[str]]]] = {
    "Microsoft.Authorization/roleAssignments": {"properties.principalType": {"ServicePrincipal"}},
    "Microsoft.DocumentDB/databaseAccounts": {
        "kind": {"GlobalDocumentDB"},
        "properties.backupPolicy.continuousModeProperties.tier": {"Continuous7Days", "Continuous30Days"},
    },
    "Microsoft.EventGrid/topics": {
        "identity.type": {"SystemAssigned"},
        "properties.inputSchema": {"CloudEventSchemaV1_0", "EventGridSchema"},
    },
    "Microsoft.EventGrid/topics/eventSubscriptions": {
        "properties.eventDeliverySchema": {"CloudEventSchemaV1_0", "EventGridSchema"},
        "properties.deadLetterWithResourceIdentity.identity.type": {"SystemAssigned"},
    },
    "Microsoft.Insights/components": {"properties.IngestionMode": {"LogAnalytics"}},
    "Microsoft.Insights/webtests": {"kind": {"standard"}, "properties.Kind": {"standard"}},
    "Microsoft.KeyVault/vaults": {"properties.sku.name": {"standard"}},
    "Microsoft.Network/virtualNetworks": {
        "properties.subnets.properties.privateEndpointNetworkPolicies": {"Disabled", "NetworkSecurityGroupEnabled"},
    },
    "Microsoft.OperationalInsights/workspaces": {"properties.sku.name": {"PerGB2018"}},
    "Microsoft.Storage/storageAccounts": {"kind": {"StorageV2"}, "properties.accessTier": {"Hot"}},
    "Microsoft.Web/serverfarms": {"sku.tier": {"FlexConsumption"}, "sku.name": {"FC1"}},
    "Microsoft.Web/sites": {
        "identity.type": {"UserAssigned"},
        "properties.functionAppConfig.deployment.storage.type": {"blobContainer"},
        "properties.functionAppConfig.deployment.storage.authentication.type": {"UserAssignedIdentity"},
        "properties.functionAppConfig.runtime.name": {"python"},
    },
}

#: What an alert rule may compare with.
ALERT_OPERATORS: Final = {"Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"}

#: Which events wake which function, by event subscription. One line here is one reviewed decision: an event that is
#: missing costs seconds each time, until the deadline that stands behind it, and no test of the router fails.
SUBSCRIPTIONS: Final = {
    "router-job": (
        "OnJobEvent",
        {
            "RouterJobReceived",
            "RouterJobUnassigned",
            "RouterJobWorkerSelectorsExpired",
            "RouterWorkerOfferDeclined",
            "RouterWorkerOfferExpired",
            "RouterWorkerOfferRevoked",
        },
    ),
    "router-worker": (
        "OnWorkerEvent",
        {
            "RouterWorkerRegistered",
            "RouterWorkerUpdated",
            "RouterJobClosed",
            "RouterJobCancelled",
            "RouterJobUnassigned",
            "RouterWorkerOfferDeclined",
            "RouterWorkerOfferRevoked",
        },
    ),
    "router-exception": ("OnExceptionEvent", {"RouterJobExceptionTriggered"}),
}

#: What an alert rule may be evaluated by, in ISO 8601, and how it may join the rows that it finds.
ALERT_FREQUENCIES: Final = {
    "PT1M", "PT5M", "PT10M", "PT15M", "PT30M", "PT45M", "PT1H", "PT2H", "PT3H", "PT4H", "PT5H", "PT6H", "P1D",
}  # fmt: skip
ALERT_WINDOWS: Final = {*ALERT_FREQUENCIES, "P2D"}
ALERT_AGGREGATIONS: Final = {"Average", "Count", "Maximum", "Minimum", "Total"}

#: Metrics of the platform that the runbook asks for, with their dimensions (Azure Monitor, "Supported metrics").
PLATFORM_METRICS: Final = {
    "PublishSuccessCount": set[str](),
    "PublishSuccessLatencyInMs": set[str](),
    "PublishFailCount": {"Error", "ErrorType"},
    "DeliverySuccessCount": {"EventSubscriptionName"},
    "DeliveryAttemptFailCount": {"Error", "ErrorType", "EventSubscriptionName"},
    "DeadLetteredCount": {"DeadLetterReason", "EventSubscriptionName"},
    "DroppedEventCount": {"DropReason", "EventSubscriptionName"},
    "Transactions": {"ApiName", "Authentication", "GeoType", "ResponseType", "TransactionType"},
}

#: The columns of ACS's own table (Azure Monitor, "ACSJobRouterIncomingOperations"), without those that begin with "_".
INCOMING_OPERATIONS: Final = {
    "CallerIpAddress", "CorrelationId", "DurationMs", "EntityId", "EntityType", "Level", "OperationName",
    "OperationVersion", "ResultDescription", "ResultSignature", "ResultType", "SdkType", "SourceSystem", "TenantId",
    "TimeGenerated", "Type", "URI",
}  # fmt: skip

_OF_EVERY_TABLE: Final = {
    "appId", "appName", "application_Version", "client_Browser", "client_City", "client_CountryOrRegion", "client_IP",
    "client_Model", "client_OS", "client_StateOrProvince", "client_Type", "cloud_RoleInstance", "cloud_RoleName",
    "customDimensions", "iKey", "itemId", "itemType", "operation_Id", "operation_Name", "operation_ParentId",
    "operation_SyntheticSource", "sdkVersion", "session_Id", "timestamp", "user_AccountId", "user_AuthenticatedId",
    "user_Id",
}  # fmt: skip
#: Tables that a query may read, with their columns. Those of Application Insights have the names of queries in its own
#: scope (Azure Monitor, "Workspace-based resource changes", has them beside the names of the workspace); the last two
#: are of Log Analytics itself ("Usage"; "Monitor operational issues").
KUSTO_TABLES: Final = {
    "customMetrics": {
        *_OF_EVERY_TABLE, "name", "value", "valueCount", "valueMax", "valueMin", "valueStdDev", "valueSum",
    },
    "dependencies": {
        *_OF_EVERY_TABLE, "customMeasurements", "data", "duration", "id", "itemCount", "name", "performanceBucket",
        "resultCode", "success", "target", "type",
    },
    "exceptions": {
        *_OF_EVERY_TABLE, "assembly", "customMeasurements", "details", "handledAt", "innermostAssembly",
        "innermostMessage", "innermostMethod", "innermostType", "itemCount", "message", "method", "outerAssembly",
        "outerMessage", "outerMethod", "outerType", "problemId", "severityLevel", "type",
    },
    "requests": {
        *_OF_EVERY_TABLE, "customMeasurements", "duration", "id", "itemCount", "name", "performanceBucket",
        "resultCode", "source", "success", "url",
    },
    #: The same in the workspace's own names.
    "AppRequests": {
        "TimeGenerated", "TenantId", "SourceSystem", "Type", "Name", "Url", "OperationId", "ClientIP", "DurationMs",
        "Success", "ResultCode", "Properties", "AppRoleName", "Id", "ItemCount", "Measurements", "OperationName",
    },
    "ACSJobRouterIncomingOperations": INCOMING_OPERATIONS,
    "traces": {*_OF_EVERY_TABLE, "customMeasurements", "itemCount", "message", "severityLevel"},
    "Usage": {
        "TimeGenerated", "StartTime", "EndTime", "DataType", "IsBillable", "Quantity", "QuantityUnit", "Solution",
    },
    "_LogOperation": {
        "TimeGenerated", "Category", "Operation", "Level", "Detail", "_ResourceId", "Computer", "CorrelationId",
    },
}  # fmt: skip
#: The words of the Kusto query language that the queries use.
KUSTO_WORDS: Final = {
    "ago", "and", "asc", "bin", "by", "case", "contains", "extract", "isempty", "parse_url", "percentiles",
    "startswith", "url_decode", "count", "countif", "desc", "distinct", "extend", "iff", "in", "join",
    "kind", "leftouter", "let", "max", "min", "on", "or", "order", "project", "round", "strcat", "sum", "sumif",
    "summarize", "top", "tostring", "where",
}  # fmt: skip

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
