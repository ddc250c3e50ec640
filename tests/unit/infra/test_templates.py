"""The templates are without a finding, and each fault is seen: by the compiler, or by a rule of the project's own.

Only where there is a compiler (conftest.py). Faults are planted many at a time, each on a line of its own, since a
compilation costs more than all questions about it.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from router import settings
from scripts.deployment import app, templates
from scripts.deployment.compiler import Compiler, CompilerFailed, find
from tests.unit.infra.conftest import ROOT, plant, replace

FILES = sorted((ROOT / "infra").rglob("*.bicep"))


@pytest.fixture(scope="module")
def bicep() -> Iterator[Compiler]:
    program = find()
    assert program is not None
    with Compiler(program) as compiler:
        yield compiler


@pytest.fixture
def infra(tmp_path: Path) -> Path:
    """A copy of the templates that a test may break."""
    shutil.copytree(ROOT / "infra", tmp_path / "infra")
    return tmp_path


def test_the_templates_are_without_a_finding(bicep: Compiler, the_app: app.App) -> None:
    assert list(templates.problems(ROOT, bicep, the_app)) == []
    assert list(templates.formats(ROOT, bicep)) == []


def test_an_error_in_any_file_is_seen(infra: Path, bicep: Compiler) -> None:
    for path in (infra / "infra").rglob("*.bicep"):
        path.write_text(f"{path.read_text()}\nvar planted = missing\n")
    found = list(templates.problems(infra, bicep, None))
    files = [path.relative_to(ROOT).as_posix() for path in FILES]
    assert [file for file in files if not any(one.startswith(f"{file}(") for one in found)] == []
    assert any('"missing" does not exist' in one for one in found)


def test_a_file_in_another_format_is_seen_and_put_right(infra: Path, bicep: Compiler) -> None:
    files = list((infra / "infra").rglob("*.bicep"))
    for path in files:
        path.write_text(f"{path.read_text()}\n\n\n// the end\n")
    assert len(list(templates.formats(infra, bicep))) == len(files)
    assert len(list(templates.formats(infra, bicep, write=True))) == len(files)
    assert list(templates.formats(infra, bicep)) == []


def test_a_change_of_the_infrastructure_is_a_readable_difference(infra: Path, bicep: Compiler) -> None:
    for path in (infra / "infra/snapshots").glob("*.bicepparam"):
        if path.stem != "default":
            path.unlink()
    assert list(templates.snapshots(infra, bicep)) == []
    replace(infra / "infra/app/vault.bicep", "softDeleteRetentionInDays: 30", "softDeleteRetentionInDays: 7")
    (found,) = templates.snapshots(infra, bicep)
    assert '-        "softDeleteRetentionInDays": 30,\n+        "softDeleteRetentionInDays": 7,' in found
    assert len(list(templates.snapshots(infra, bicep, write=True))) == 1
    assert list(templates.snapshots(infra, bicep)) == []


#: What the compiler sees, by its own word for it.
SEEN_BY_THE_COMPILER = [
    ("app/dashboards.bicep", "'odata.type'", "'odata.typ'", '"odata.type"'),
    ("app/topic.bicep", "output id string = topic.id", "output id string = tpic.id", '"tpic" does not exist'),
    ("app/topic.bicep", "inputSchema:", "inputSchemas:", '"inputSchemas"'),
    ("app/topic.bicep", "output endpoint string", "output url string", 'does not contain property "endpoint"'),
    ("app/identity.bicep", "location: location", "location: 'westeurope'", "'westeurope'"),
    ("app/identity.bicep", "userAssignedIdentities@", "userAssignedIdentity@", "userAssignedIdentity@"),
    ("app/data-storage.bicep", "location: location", "location: resourceGroup().location", "no-loc-expr-outside-params"),
    ("app/data-storage.bicep", "param sku string", "param redundancy string", '"sku"'),
    ("main.bicep", "    vaultName: names.vault\n", "", '"vaultName"'),
    ("main.bicep", "'app/network.bicep'", "'app/netwrk.bicep'", "netwrk.bicep"),
    ("main.bicep", "applicationInsightsName: names.applicationInsights\n    workspaceName", "applicationInsightsName: app.outputs.name\n    workspaceName", "what-if-short-circuiting"),
    ("event-subscriptions.bicep", "topics/eventSubscriptions@2025-02-15", "topics/eventSubscriptions@2020-06-01", "eventSubscriptions@2020-06-01"),
    ("event-subscriptions.bicep", "item.function", "item.handler", '"handler"'),
    ("app/function.bicep", "perInstanceConcurrency", "perInstanceConcurency", '"perInstanceConcurency"'),
    ("app/function.bicep", "    name: 'ftp'\n    properties: {\n      allow: false", "    name: 'ftp'\n    properties: {\n      allowed: false", '"allowed"'),
    ("app/cosmos.bicep", "failoverPriority:", "failoverOrder:", '"failoverOrder"'),
    ("app/cosmos.bicep", "maxThroughput: max", "throughput: max", '"throughput"'),
    ("app/dashboards.bicep", "{ actionGroupId: people.id }", "{ actionGroup: people.id }", '"actionGroup"'),
    ("app/dashboards.bicep", "severity: rule.severity", "severitty: rule.severity", '"severitty"'),
    ("alerts.json", '"threshold"', '"limit"', '"threshold"'),
    ("app/monitoring.bicep", "dailyQuotaGb", "dailyQuotaGB", '"dailyQuotaGB"'),
    ("app/host-storage.bicep", "daysAfterModificationGreaterThan", "daysAfterModification", '"daysAfterModification"'),
    ("app/vault.bicep", "softDeleteRetentionInDays: 30", "softDelete: { days: 30 }", '"softDelete"'),
    ("app/vault.bicep", "tenantId: tenant().tenantId", "accessPolicies: [{ objectId: name }]", '"permissions"'),
    ("app/private-endpoints.bicep", "param subnetId string", "param subnet string", '"subnetId"'),
]  # fmt: skip
#: What it does not see beside other errors in the same place.
SEEN_APART = [
    ("app/function.bicep", "tag: 'Default'", "tags: 'Default'", '"tags"'),
    ("app/function.bicep", "ipAddress: 'AzureEventGrid'", "address: 'AzureEventGrid'", '"address"'),
    ("app/dashboards.bicep", "failedLocationCount", "failedLocations", '"failedLocations" is not allowed'),
    ("app/dashboards.bicep", "severity: alert.severity", "severty: alert.severity", '"severty"'),
    ("app/private-endpoints.bicep", "Network/privateDnsZones@2024-06-01", "Network/privateDnsZones@2020-06-01", "use-recent-api-versions"),
    ("app/topic.bicep", "resource topic ", "resource topic topic ", "BCP"),
    ("app/topic.bicep", "param eventSchema string", "param schema string", '"eventSchema"'),
    ("app/function.bicep", "scaleAndConcurrency: {", "scaleAndConcurency: {", '"scaleAndConcurency"'),
    ("event-subscriptions.bicep", "'event-subscriptions.json'", "'subscriptions.json'", "subscriptions.json"),
    ("app/monitoring.bicep", "output workspaceId string = workspace.id", "output key string = workspace.listKeys().primarySharedKey", "outputs-should-not-contain-secrets"),
    ("app/private-endpoints.bicep", "param location string", "param location string\n\n@description('Idle.')\nparam idle string = ''", "no-unused-params"),
    ("main.bicep", "'app/vault.bicep'", "'app/valt.bicep'", "nothing uses it"),
]  # fmt: skip
SEEN_ALONE = [
    ("event-subscriptions.bicep", "      maxDeliveryAttempts:", "      maxDeliveryAttemptz:", '"maxDeliveryAttemptz"'),
    ("app/network.bicep", "virtualNetworks@2025-05-01", "virtualNetworks@2025-05-02", "virtualNetworks@2025-05-02"),
    ("app/cosmos.bicep", "name: capability", "nam: capability", '"nam"'),
    ("event-subscriptions.bicep", "endpointType: 'AzureFunction'", "endpointType: 'Function'", 'The property "endpointType" expected'),
    ("app/function.bicep", "  instanceCount: int", "  instanceCounts: int", '"instanceCounts"'),
    ("event-subscriptions.bicep", "  parent: topic\n", "  parents: topic\n", '"parents"'),
    ("app/vault.bicep", "@secure()\nparam secretsKey", "param secretsKey", "secure-secrets-in-params"),
    ("app/vault.bicep", "accessKeys string", "accessKeys string = 'abc'", "secure-parameter-default"),
]  # fmt: skip


@pytest.mark.parametrize("faults", [SEEN_BY_THE_COMPILER, SEEN_APART, SEEN_ALONE], ids=["together", "apart", "alone"])
def test_the_compiler_sees_a_broken_template(
    infra: Path, bicep: Compiler, faults: list[tuple[str, str, str, str]]
) -> None:
    plant(infra / "infra", faults)
    found = list(templates.problems(infra, bicep, None))
    assert [said for *_, said in faults if not any(said in one for one in found)] == [], "\n".join(found)


#: What compiles and is wrong all the same.
SEEN_BY_A_RULE = [
    ("app/private-endpoints.bicep", "@batchSize(1)\nresource endpoints", "resource endpoints", "privateEndpoints: must be made one after the other"),
    ("app/private-endpoints.bicep", "@batchSize(1)\nresource records", "@batchSize(2)\nresource records", "privateDnsZoneGroups: must be made one after the other"),
    ("app/dashboards.bicep", "      skipQueryValidation: true\n      scopes: [workspace.id]", "      scopes: [workspace.id]", "scheduledQueryRules: skipQueryValidation must be True"),
    ("app/function.bicep", "  AzureWebJobsStorage__accountName: hostStorageName\n", "  AzureWebJobsStorage__queueServiceUri: hostStorageName\n", "the setting AzureWebJobsStorage__accountName is required"),
    ("app/topic.bicep", "type: 'SystemAssigned'", "type: 'SystemAsigned'", "topics: identity.type cannot be SystemAsigned"),
    ("app/topic.bicep", "'CloudEventSchemaV1_0'", "'CloudEventSchema'", "topics: properties.inputSchema cannot be CloudEventSchema"),
    ("app/monitoring.bicep", "'PerGB2018'", "'PerGB2019'", "workspaces: properties.sku.name cannot be PerGB2019"),
    ("app/topic.bicep", "@description('Region.')\n", "", "parameter location has no description"),
    ("app/topic.bicep", "disableLocalAuth: true", "disableLocalAuth: false", "topics: disableLocalAuth must be True"),
    ("app/topic.bicep", "privateNetworking ? 'Disabled' : 'Enabled'", "privateNetworking ? 'Enabled' : 'Enabled'", "topics: publicNetworkAccess must be"),
    ("app/data-storage.bicep", "    allowSharedKeyAccess: false\n", "", "allowSharedKeyAccess must be False"),
    ("app/monitoring.bicep", "'WithDimensions'", "'NoDimensions'", "CustomMetricsOptedInType must be"),
    ("app/monitoring.bicep", "DisableLocalAuth: true", "DisableLocalAuth: false", "components: DisableLocalAuth must be True"),
    ("app/monitoring.bicep", "      disableLocalAuth: true", "      disableLocalAuth: false", "workspaces: features.disableLocalAuth must be True"),
    ("app/function.bicep", "httpsOnly: true", "httpsOnly: false", "httpsOnly must be True"),
    ("app/function.bicep", "minTlsVersion: '1.2'", "minTlsVersion: '1.0'", "siteConfig.minTlsVersion must be 1.2"),
    ("app/function.bicep", "      allow: false", "      allow: true", "basicPublishingCredentialsPolicies: allow must be False"),
    ("app/function.bicep", "empty(allowedIpRanges) ? 'Allow' : 'Deny'", "empty(allowedIpRanges) ? 'Allow' : 'Allow'", "DefaultAction must be [if(empty("),
    ("app/vault.bicep", "? 'Deny' : 'Allow'", "? 'Allow' : 'Allow'", "vaults: networkAcls.defaultAction must be"),
    ("app/cosmos.bicep", "'Strong'", "'Session'", "consistencyPolicy.defaultConsistencyLevel must be Strong"),
    ("app/cosmos.bicep", "enableMultipleWriteLocations: false", "enableMultipleWriteLocations: true", "enableMultipleWriteLocations must be"),
    ("app/cosmos.bicep", "00000000-0000-0000-0000-000000000002", "00000000-0000-0000-0000-2", "-0000-2 is not a role"),
    ("app/cosmos.bicep", "  'members'\n", "", "table members is in only one"),
    ("app/roles.bicep", "d5a91429-5739", "d5a91429-5730", "-47e2-a06b-3470a27159e7 is not a role"),
    ("app/roles.bicep", "'0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'", "'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'", "appPrincipalId is given Storage Blob Data Owner on dataStorageName"),
    ("app/roles.bicep", "  scope: applicationInsights\n", "  scope: vault\n", "appPrincipalId is given nothing on applicationInsightsName"),
    ("app/roles.bicep", "    principalId: operatorPrincipalId\n", "    principalId: topicPrincipalId\n", "topicPrincipalId is given Key Vault Secrets Officer on vaultName"),
    ("app/function.bicep", "  ROUTER_TABLES_ENDPOINT:", "  ROUTER_TABLE_ENDPOINT:", "nothing reads the setting ROUTER_TABLE_ENDPOINT"),
    ("app/function.bicep", "  ROUTER_EVENTGRID_ENDPOINT: topicEndpoint\n", "  ROUTER_EVENTGRID_KEY: topicEndpoint\n", "the setting ROUTER_EVENTGRID_ENDPOINT is required"),
    ("app/function.bicep", "AzureWebJobsDisableHomepage:", "FUNCTIONS_WORKER_RUNTIME:", "is retired on Flex"),
    ("app/function.bicep", "  AzureWebJobsStorage__credential: 'managedidentity'\n", "", "__credential is required"),
    ("app/function.bicep", "ROUTER_SECRETS_KEY: policyKeyReference", "ROUTER_SECRETS_KEY: '${policyKeyReference}/'", "ROUTER_SECRETS_KEY is a secret and must be a Key Vault reference"),
    ("app/function.bicep", "empty(entraTenantId) || empty(entraAudience)", "empty(entraTenantId)", "ROUTER_ENTRA_AUDIENCE is set although entraAudience may be empty"),
    ("app/function.bicep", "empty(tablesPrefix)\n", "empty(entraTenantId)\n", "although tablesPrefix may be empty"),
    ("event-subscriptions.bicep", "Microsoft.Storage/storageAccounts@2026-06-01", "Microsoft.Storage/storageAccounts@2026-04-01", "storageAccounts in several API versions"),
]  # fmt: skip


def test_a_rule_sees_what_compiles_and_is_wrong(infra: Path, bicep: Compiler, the_app: app.App) -> None:
    plant(infra / "infra", SEEN_BY_A_RULE)
    found = list(templates.problems(infra, bicep, the_app))
    assert [said for *_, said in SEEN_BY_A_RULE if not any(said in one for one in found)] == [], "\n".join(found)


def test_roles_outside_their_file_are_seen(infra: Path, bicep: Compiler) -> None:
    path = infra / "infra/app/identity.bicep"
    path.write_text(
        path.read_text()
        + "\nresource more 'Microsoft.Authorization/roleAssignments@2022-04-01' = {\n  name: guid(name)\n  properties: {\n"
        "    principalId: identity.properties.principalId\n    roleDefinitionId: identity.id\n  }\n}\n"
    )
    assert "infra/app/roles.bicep: the module identity gives roles, which is left to this file" in list(
        templates.problems(infra, bicep, None)
    )


def test_no_key_is_read_from_a_resource() -> None:
    calls = ("listKeys", "listSecrets", "listConnectionStrings", "listAccountSas", "listServiceSas", "primaryKey")
    found = [(path.name, call) for path in FILES for call in calls if call in path.read_text()]
    assert found == []


def test_the_app_accepts_the_values_that_the_templates_set(bicep: Compiler) -> None:
    """As Azure hands them over: references resolved, endpoints as the resources' outputs look."""
    known = {
        "parameters('hostBlobEndpoint')": "https://sthost.blob.core.windows.net/",
        "parameters('identityClientId')": "11111111-2222-3333-4444-555555555555",
        "parameters('applicationInsightsConnectionString')": "InstrumentationKey=7f3f3a5e-58cf-4a2b-9a39-9b9c6a1c0001;IngestionEndpoint=https://x.in.applicationinsights.azure.com/",
        "parameters('tablesEndpoint')": "https://strouter.table.core.windows.net/",
        "parameters('accessKeysReference')": f"{base64.b64encode(bytes(32)).decode()},{base64.b64encode(bytes(range(32))).decode()}",
        "parameters('policyKeyReference')": base64.b64encode(bytes(32)).decode(),
        "parameters('topicEndpoint')": "https://evgt.westeurope-1.eventgrid.azure.net/api/events",
        "parameters('eventSchema')": "CloudEvents",
        "string(parameters('rateLimit'))": "1000",
        "if(parameters('rulesAllowPrivateNetworks'), 'true', 'false')": "false",
        "parameters('tablesPrefix')": "one",
        "parameters('entraTenantId')": "11111111-2222-3333-4444-555555555555",
        "parameters('entraAudience')": "api://job-router",
        "parameters('entraClientId')": "11111111-2222-3333-4444-555555555555",
        "parameters('entraRoles')": "required",
        "parameters('readKeysReference')": base64.b64encode(bytes(range(1, 33))).decode(),
        "parameters('hostStorageName')": "sthost",
        "format('ClientId={0};Authorization=AAD', parameters('identityClientId'))": "ClientId=1;Authorization=AAD",
    }
    compiled = bicep.compile(ROOT / "infra/main.bicep").template
    assert compiled is not None
    given = templates.given_settings(dict(templates.modules("", compiled))["app"])
    environment = {
        name: known[value.strip("[]")] if "(" in value else value.strip("'") for name, value in given.items()
    }
    loaded = settings.load(environment)
    assert loaded.tables_endpoint == "https://strouter.table.core.windows.net/"
    assert loaded.tables_connection_string is None
    assert loaded.eventgrid_key is None
    assert (len(loaded.access_keys), loaded.rate_limit, loaded.tables_prefix) == (2, 1000, "one")
    assert loaded.client_id == environment["AzureWebJobsStorage__clientId"]


def test_a_compiler_that_ends_or_is_none_is_a_fault_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(CompilerFailed, match="ended at bicep/version"), Compiler("true") as compiler:
        compiler.version()
    with pytest.raises(CompilerFailed, match="missing"), Compiler(str(tmp_path / "missing")):
        pass
