"""azure.yaml, the hooks and the parameters keep to azd's rules, and each rule sees what it is there to see."""

from __future__ import annotations

import base64
import os
import subprocess
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
        ("infra/main.bicep", "output ROUTER_EVENTGRID_SCHEMA", "output SCHEMA", "nothing sets ROUTER_EVENTGRID_SCHEMA"),
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
        ("scripts/hooks/postdeploy.ps1", "            eventSchema=$env:ROUTER_EVENTGRID_SCHEMA `\n", "", "passes eventSchema"),
        ("scripts/hooks/postprovision.ps1", "'ROUTER_NEW_SECRETS_KEY='", "'ROUTER_SECRET='", "set different variables"),
        ("host.json", '"routePrefix": ""', '"routePrefix": "api"', "routePrefix"),
        ("host.json", "[4.*", "[3.*", "extension bundle"),
    ],
)  # fmt: skip
def test_a_broken_project_is_seen(project: Path, file: str, old: str, new: str, said: str) -> None:
    replace(project / file, old, new)
    found = list(rules.problems(project))
    assert any(said in problem for problem in found), found


@pytest.fixture
def azd(tmp_path: Path) -> dict[str, str]:
    """An azd that writes down what it is told to remember, one line a call."""
    program = tmp_path / "bin" / "azd"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "env set" ] || exit 2\nshift 2\nprintf "%s\\n" "$*" >> "{tmp_path}/set"\n'
    )
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


def run(hook: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(ROOT / "scripts/hooks" / hook)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_first_deployment_gets_three_different_random_keys(tmp_path: Path, azd: dict[str, str]) -> None:
    assert run("preprovision.sh", azd).returncode == 0
    values = dict(line.split(" ", 1) for line in (tmp_path / "set").read_text().splitlines())
    keys = [values["ROUTER_NEW_SECRETS_KEY"], *values["ROUTER_NEW_ACCESS_KEYS"].split(",")]
    assert [len(base64.b64decode(key, validate=True)) for key in keys] == [32, 32, 32]
    assert len(set(keys)) == 3


@pytest.mark.parametrize("name", ["ROUTER_KEYS_VAULT", "ROUTER_NEW_ACCESS_KEYS"])
def test_a_later_deployment_gets_none(tmp_path: Path, azd: dict[str, str], name: str) -> None:
    assert run("preprovision.sh", {**azd, name: "there"}).returncode == 0
    assert not (tmp_path / "set").exists()


def test_the_keys_are_forgotten_once_they_are_in_the_vault(tmp_path: Path, azd: dict[str, str]) -> None:
    assert run("postprovision.sh", {**azd, "AZURE_KEY_VAULT_NAME": "kv-1"}).returncode == 0
    assert sorted((tmp_path / "set").read_text().splitlines()) == [
        "ROUTER_KEYS_VAULT kv-1",
        "ROUTER_NEW_ACCESS_KEYS=",
        "ROUTER_NEW_SECRETS_KEY=",
    ]


DEPLOYED = {
    "AZURE_SUBSCRIPTION_ID": "sub",
    "AZURE_RESOURCE_GROUP": "group",
    "AZURE_EVENTGRID_TOPIC_NAME": "topic",
    "AZURE_FUNCTION_APP_NAME": "app",
    "AZURE_HOST_STORAGE_NAME": "storage",
    "AZURE_DEAD_LETTER_CONTAINER": "dead-letters",
    "ROUTER_EVENTGRID_SCHEMA": "EventGrid",
    "ROUTER_ENDPOINT": "https://app.example",
    "ROUTER_CONNECTION_STRING_COMMAND": "echo it",
}


def test_the_subscriptions_are_deployed_after_the_code_and_tried_until_the_functions_are_seen(tmp_path: Path) -> None:
    program = tmp_path / "bin"
    program.mkdir()
    (program / "az").write_text(
        f'#!/bin/sh\necho "$*" >> "{tmp_path}/calls"\n[ "$(wc -l < "{tmp_path}/calls")" -ge 3 ]\n'
    )
    (program / "sleep").write_text(f'#!/bin/sh\necho "$1" >> "{tmp_path}/slept"\n')
    for path in program.iterdir():
        path.chmod(0o755)
    done = run("postdeploy.sh", {"PATH": f"{program}:{os.environ['PATH']}", **DEPLOYED})
    calls = (tmp_path / "calls").read_text().splitlines()
    assert done.returncode == 0, done.stderr
    assert len(calls) == 3
    assert (tmp_path / "slept").read_text().split() == ["30", "30"]
    assert "deployment group create --subscription sub --resource-group group" in calls[0]
    assert "topicName=topic functionAppName=app deadLetterStorageName=storage" in calls[0]
    template = calls[0].split("--template-file ")[1].split()[0]
    assert Path(template).resolve() == ROOT / "infra/event-subscriptions.bicep"
    assert "https://app.example" in done.stdout


def test_without_the_azure_cli_the_hook_says_what_to_do(tmp_path: Path) -> None:
    for name in ("sh", "dirname"):
        found = subprocess.run(["sh", "-c", f"command -v {name}"], capture_output=True, text=True, check=True)
        (tmp_path / name).symlink_to(found.stdout.strip())
    done = run("postdeploy.sh", {"PATH": str(tmp_path), **DEPLOYED}) if (tmp_path / "sh").exists() else None
    assert done is not None
    assert done.returncode == 1
    assert "azd hooks run postdeploy" in done.stderr
