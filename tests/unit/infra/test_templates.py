"""The Bicep templates hold together, and each rule about them sees what it is there to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.deployment import templates
from scripts.deployment.bicep import BicepFile
from tests.unit.infra.conftest import ROOT, replace

FILES = sorted((ROOT / "infra").rglob("*.bicep"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_template_parses_without_errors(path: Path) -> None:
    file = BicepFile(path)
    assert file.errors == []
    assert file.resources or file.modules


def test_the_templates_hold_together() -> None:
    assert list(templates.problems(ROOT)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("infra/app/topic.bicep", "resource topic ", "resource topic topic ", "cannot parse"),
        ("infra/app/topic.bicep", "output id string = topic.id", "output id string = tpic.id", "tpic is not declared"),
        ("infra/app/topic.bicep", "location: location", "location: 'westeurope'", "location is never used"),
        ("infra/app/topic.bicep", "@description('Region.')\n", "", "parameter location has no description"),
        ("infra/app/topic.bicep", "disableLocalAuth: true", "disableLocalAuth: false", "disableLocalAuth must be true"),
        ("infra/app/data-storage.bicep", "    allowSharedKeyAccess: false\n", "", "allowSharedKeyAccess must be false"),
        ("infra/app/monitoring.bicep", "'WithDimensions'", "'NoDimensions'", "CustomMetricsOptedInType must be"),
        ("infra/app/monitoring.bicep", "DisableLocalAuth: true", "DisableLocalAuth: false", "DisableLocalAuth must be true"),
        ("infra/app/monitoring.bicep", "      disableLocalAuth: true", "      disableLocalAuth: false",
         "workspace: features.disableLocalAuth must be true"),
        ("infra/app/function.bicep", "httpsOnly: true", "httpsOnly: false", "httpsOnly must be true"),
        ("infra/app/function.bicep", "minTlsVersion: '1.2'", "minTlsVersion: '1.0'", "siteConfig.minTlsVersion must be '1.2'"),
        ("infra/app/function.bicep", "      allow: false", "      allow: true", "ftp: allow must be false"),
        ("infra/app/function.bicep", "empty(allowedIpRanges) ? 'Allow' : 'Deny'", "'Allow'", "DefaultAction must be empty("),
        ("infra/app/topic.bicep", "privateNetworking ? 'Disabled' : 'Enabled'", "'Enabled'", "publicNetworkAccess must be"),
        ("infra/app/vault.bicep", "? 'Deny' : 'Allow'", "? 'Allow' : 'Allow'", "networkAcls.defaultAction must be"),
        ("infra/app/cosmos.bicep", "'Strong'", "'Session'", "consistencyPolicy.defaultConsistencyLevel must be 'Strong'"),
        ("infra/app/cosmos.bicep", "enableMultipleWriteLocations: false", "enableMultipleWriteLocations: true", "must be"),
        ("infra/app/vault.bicep", "@secure()\nparam secretsKey", "param secretsKey", "looks like a secret"),
        ("infra/app/topic.bicep", "param eventSchema string", "param schema string", "has no parameter eventSchema"),
        ("infra/app/topic.bicep", "output endpoint string", "output url string", "has no output endpoint"),
        ("infra/main.bicep", "    topicName: topic.outputs.name\n", "", "parameter topicName is missing"),
        ("infra/main.bicep", "'app/vault.bicep'", "'app/valt.bicep'", "does not exist"),
        ("infra/event-subscriptions.bicep", "'event-subscriptions.json'", "'subscriptions.json'", "does not exist"),
        ("infra/event-subscriptions.bicep", "item.function", "item.handler", "an item of event-subscriptions.json has no handler"),
        ("infra/alerts.json", '"threshold"', '"limit"', "an item of ../alerts.json has no threshold"),
        ("infra/event-subscriptions.bicep", "topics@2025-02-15", "topics@2022-06-15", "several API versions"),
        ("infra/app/roles.bicep", "d5a91429-5739", "d5a91429-5730", "is not a role"),
        ("infra/app/roles.bicep", "'0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'", "'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'",
         "appOnDataStorage assigns Storage Blob Data Owner"),
        ("infra/app/cosmos.bicep", "00000000-0000-0000-0000-000000000002", "00000000-0000-0000-0000-2", "-0000-2 is not a role"),
        ("infra/app/roles.bicep", "resource appOnVault", "resource appOnSafe", "appOnVault assigns nothing"),
    ],
)  # fmt: skip
def test_a_broken_template_is_seen(project: Path, file: str, old: str, new: str, said: str) -> None:
    replace(project / file, old, new)
    found = list(templates.problems(project))
    assert any(said in problem for problem in found), found


def test_every_role_is_given_by_the_roles_module_alone() -> None:
    elsewhere = [
        path.name
        for path in FILES
        if path.name != "roles.bicep" and "Microsoft.Authorization/roleAssignments" in path.read_text()
    ]
    assert elsewhere == []


def test_no_key_is_read_from_a_resource() -> None:
    calls = ("listKeys", "listSecrets", "listConnectionStrings", "listAccountSas", "listServiceSas", "primaryKey")
    found = [(path.name, call) for path in FILES for call in calls if call in path.read_text()]
    assert found == []
