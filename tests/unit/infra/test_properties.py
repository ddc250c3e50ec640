"""What the templates give to resources is what Azure Resource Manager knows, and a misspelt name is seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.deployment import properties
from tests.unit.infra.conftest import ROOT, replace


def test_every_property_is_known() -> None:
    assert list(properties.problems(ROOT)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("infra/app/function.bicep", "perInstanceConcurrency", "perInstanceConcurency",
         "triggers.http.perInstanceConcurency"),
        ("infra/app/function.bicep", "scaleAndConcurrency: {", "scaleAndConcurency: {",
         "no property properties.functionAppConfig.scaleAndConcurency"),
        ("infra/app/function.bicep", "  instanceCount: int", "  instanceCounts: int", "alwaysReady.instanceCounts"),
        ("infra/app/function.bicep", "tag: 'Default'", "tags: 'Default'", "ipSecurityRestrictions.tags"),
        ("infra/app/function.bicep", "ipAddress: 'AzureEventGrid'", "address: 'AzureEventGrid'", "ipSecurityRestrictions.address"),
        ("infra/app/function.bicep", "      allow: false", "      allowed: false", "no property properties.allowed"),
        ("infra/app/topic.bicep", "inputSchema:", "inputSchemas:", "no property properties.inputSchemas"),
        ("infra/app/topic.bicep", "'CloudEventSchemaV1_0'", "'CloudEventSchema'", "inputSchema cannot be CloudEventSchema"),
        ("infra/app/topic.bicep", "type: 'SystemAssigned'", "type: 'SystemAsigned'", "identity.type cannot be SystemAsigned"),
        ("infra/event-subscriptions.bicep", "      maxDeliveryAttempts:", "      maxDeliveryAttemptz:",
         "properties.retryPolicy.maxDeliveryAttemptz"),
        ("infra/event-subscriptions.bicep", "endpointType: 'AzureFunction'", "endpointType: 'Function'", "cannot be Function"),
        ("infra/event-subscriptions.bicep", "  parent: topic\n", "  parents: topic\n", "no property parents"),
        ("infra/app/cosmos.bicep", "failoverPriority:", "failoverOrder:", "properties.locations.failoverOrder"),
        ("infra/app/cosmos.bicep", "name: 'EnableServerless'", "nam: 'EnableServerless'", "properties.capabilities.nam"),
        ("infra/app/cosmos.bicep", "maxThroughput: max", "throughput: max", "autoscaleSettings.throughput"),
        ("infra/app/dashboards.bicep", "failedLocationCount", "failedLocations", "properties.criteria.failedLocations"),
        ("infra/app/dashboards.bicep", "'odata.type'", "'odata.typ'", "properties.criteria.odata.typ"),
        ("infra/app/dashboards.bicep", "autoMitigate: true\n    actions: {", "autoMitigat: true\n    actions: {", "autoMitigat"),
        ("infra/app/dashboards.bicep", "{ actionGroupId: people.id }", "{ actionGroup: people.id }", "properties.actions.actionGroup"),
        ("infra/app/monitoring.bicep", "dailyQuotaGb", "dailyQuotaGB", "properties.workspaceCapping.dailyQuotaGB"),
        ("infra/app/monitoring.bicep", "'PerGB2018'", "'PerGB2019'", "properties.sku.name cannot be PerGB2019"),
        ("infra/app/host-storage.bicep", "daysAfterModificationGreaterThan", "daysAfterModification", "daysAfterModification"),
        ("infra/app/vault.bicep", "softDeleteRetentionInDays: 30", "softDelete: { days: 30 }", "no property properties.softDelete"),
        ("infra/app/vault.bicep", "tenantId: tenant().tenantId", "accessPolicies: [{ objectId: name }]",
         "nothing is known of what is below properties.accessPolicies"),
        ("infra/app/identity.bicep", "userAssignedIdentities@", "userAssignedIdentity@", "userAssignedIdentity@2023-01-31 is not in"),
        ("infra/app/network.bicep", "virtualNetworks@2024-05-01", "virtualNetworks@2024-05-02", "no template has a"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_seen(project: Path, file: str, old: str, new: str, said: str) -> None:
    replace(project / file, old, new)
    found = list(properties.problems(project))
    assert any(said in problem for problem in found), found


def test_every_type_has_a_source() -> None:
    types = json.loads((ROOT / "scripts/deployment/arm_properties.json").read_text())["types"]
    assert [name for name, one in types.items() if not one["source"]] == []
