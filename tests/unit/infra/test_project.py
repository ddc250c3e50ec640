"""azure.yaml, the hooks and the parameters keep to azd's rules, and each rule sees what it is there to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.deployment import project as rules
from tests.unit.infra.conftest import ROOT, replace


def test_the_project_keeps_to_the_rules_of_azd() -> None:
    assert list(rules.problems(ROOT)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("azure.yaml", "name: job-router\n", "name: Job_Router\n", "is not lowercase"),
        ("azure.yaml", "hooks:\n", "hook:\n", "hook is no key of the schema"),
        ("azure.yaml", "host: function", "host: functions", "host functions is unknown"),
        ("azure.yaml", "    project: .\n", "", "project is required"),
        ("azure.yaml", "    project: .\n", "    project: .\n    env: {}\n", "env is not allowed"),
        ("azure.yaml", "language: python", "language: snake", "language snake is unknown"),
        ("azure.yaml", "  router:\n", "  api:\n", "no resource is tagged azd-service-name api"),
        ("azure.yaml", "postdeploy:", "afterdeploy:", "afterdeploy is no hook"),
        ("azure.yaml", "postdeploy.sh", "deployed.sh", "does not exist"),
        ("azure.yaml", "shell: pwsh", "shell: cmd", "neither sh nor pwsh"),
        ("azure.yaml", "module: main", "module: all", "all.bicep does not exist"),
        ("azure.yaml", "  module: main", "  modul: main", "infra.modul is no key"),
        ("azure.yaml", "  template:", "  templat:", "metadata.templat is no key"),
        ("azure.yaml", '">= 1.22.0"', '"latest"', "is no range of versions"),
        ("azure.yaml", "name: job-router\n", "name job-router\n", "azure.yaml: mapping values are not allowed"),
        ("azure.yaml", "  postdown:", "  postup:", "nothing runs scripts/hooks/postdown"),
        ("infra/main.bicep", "'azd-env-name'", "'env-name'", "tagged azd-env-name"),
        ("infra/main.bicep", "output AZURE_EVENTGRID_SCHEMA", "output SCHEMA", "nothing sets AZURE_EVENTGRID_SCHEMA"),
        ("infra/main.parameters.json", "${AZURE_ENV_NAME}", "${AZURE_ENVIRONMENT}", "azd does not set AZURE_ENVIRONMENT"),
        ("infra/main.parameters.json", "ROUTER_ALERT_EMAIL", "ROUTER_EMAIL", "does not tell of ROUTER_EMAIL"),
        ("scripts/hooks/postdeploy.sh", "event-subscriptions.bicep", "events.bicep", "infra/events.bicep does not exist"),
        ("scripts/hooks/postdeploy.ps1", "event-subscriptions.bicep", "events.bicep", "infra/events.bicep does not exist"),
        ("docs/operations.md", "azd hooks run postdeploy", "azd hooks run subscribe", "has no hook subscribe"),
        ("infra/main.parameters.json", '"dataStore"', '"store"', "has no parameter store"),
        ("infra/main.parameters.json", '"location"', '"place"', "location is missing"),
        ("infra/main.parameters.json", "${ROUTER_NEW_SECRETS_KEY=}", "c2VjcmV0", "secretsKey is a secret"),
        ("infra/main.bicep", "output AZURE_EVENTGRID_TOPIC_NAME", "output TOPIC", "nothing sets AZURE_EVENTGRID_TOPIC_NAME"),
        ("infra/event-subscriptions.bicep", "param topicName", "param topic_name", "has no parameter topicName"),
        ("scripts/hooks/postdeploy.ps1", "            eventSchema=$env:AZURE_EVENTGRID_SCHEMA `\n", "", "passes eventSchema"),
        ("scripts/hooks/postprovision.ps1", "'ROUTER_NEW_SECRETS_KEY='", "'ROUTER_SECRET='", "set different variables"),
        ("host.json", '"routePrefix": ""', '"routePrefix": "api"', "routePrefix"),
        ("host.json", '"00:00:15"', '"00:01:00"', "else a minute without timer"),
        ("host.json", "[4.*", "[3.*", "extension bundle"),
    ],
)  # fmt: skip
def test_a_broken_project_is_seen(project: Path, file: str, old: str, new: str, said: str) -> None:
    replace(project / file, old, new)
    found = list(rules.problems(project))
    assert any(said in problem for problem in found), found
