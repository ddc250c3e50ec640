"""The hooks against stand-ins for az and azd: the same arguments, tries and exit codes in both shells, and a message that
says what to do. PowerShell's run where it is found."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.infra.conftest import ROOT

SHELLS = [shell for shell in ("sh", "pwsh") if shutil.which(shell)]
DEPLOYED = {
    "AZURE_SUBSCRIPTION_ID": "sub",
    "AZURE_RESOURCE_GROUP": "a group",
    "AZURE_EVENTGRID_TOPIC_NAME": "topic",
    "AZURE_FUNCTION_APP_NAME": "app",
    "AZURE_HOST_STORAGE_NAME": "storage",
    "AZURE_DEAD_LETTER_CONTAINER": "dead-letters",
    "AZURE_EVENTGRID_SCHEMA": "EventGrid",
    "AZURE_KEY_VAULT_NAME": "kv-1",
    "ROUTER_ENDPOINT": "https://app.example",
    "ROUTER_CONNECTION_STRING_COMMAND": "echo it",
}
APP = "/subscriptions/sub/resourceGroups/a group/providers/Microsoft.Web/sites/app"
REFRESH = f"{APP}/config/configreferences/appsettings/refresh"
REFERENCES = f"{APP}/config/configreferences/appsettings?"
SYNC = f"{APP}/host/default/sync"

#: Writes its arguments down, each call a line, and fails or answers as the files beside it say.
STAND_IN = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).resolve().parent.parent
call = [pathlib.Path(__file__).stem, *sys.argv[1:]]
calls = here / "calls"
before = [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
with calls.open("a") as file:
    file.write(json.dumps(call) + "\\n")
for line in (here / "faults").read_text().splitlines():
    part, times, answer = json.loads(line)
    if part in " ".join(call) and sum(part in " ".join(one) for one in before) < times:
        if not answer:
            print("the stand-in refuses", file=sys.stderr)
            sys.exit(3)
        print(answer)
        sys.exit(0)
"""


@dataclass
class Bench:
    """A folder with stand-ins, and what they have been asked."""

    folder: Path
    shell: str

    def fault(self, part: str, times: int, answer: str = "") -> None:
        """Fail the first calls that have this in them, or answer them so."""
        with (self.folder / "faults").open("a") as file:
            file.write(json.dumps([part, times, answer]) + "\n")

    def run(self, hook: str, environment: dict[str, str], without: str = "") -> subprocess.CompletedProcess[str]:
        if without:
            (self.folder / "bin" / without).unlink()
        script = ROOT / "scripts/hooks" / f"{hook}{'.sh' if self.shell == 'sh' else '.ps1'}"
        path = os.environ["PATH"] if not without else str(self.folder / "tools")
        return subprocess.run(
            ["sh", str(script)] if self.shell == "sh" else ["pwsh", "-NoProfile", "-File", str(script)],
            env={"PATH": f"{self.folder / 'bin'}:{path}", "HOME": str(self.folder), **environment},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    @property
    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def count(self, part: str) -> int:
        return sum(part in " ".join(call) for call in self.calls)


@pytest.fixture(params=SHELLS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    (tmp_path / "bin").mkdir()
    (tmp_path / "tools").mkdir()
    (tmp_path / "faults").touch()
    for name in ("az", "azd"):
        (tmp_path / "bin" / name).write_text(STAND_IN.format(python=sys.executable))
    # Both shells wait by what they call sleep: nobody waits here. PowerShell's is a cmdlet, put aside by a function.
    (tmp_path / "bin/sleep").write_text("#!/bin/sh\n")
    for path in (tmp_path / "bin").iterdir():
        path.chmod(0o755)
    for tool in ("sh", "pwsh", "dirname", "head", "base64", "tr", "grep"):
        found = shutil.which(tool)
        if found:
            (tmp_path / "tools" / tool).symlink_to(found)
    if request.param == "pwsh":
        profile = tmp_path / ".config/powershell/profile.ps1"
        profile.parent.mkdir(parents=True)
        profile.write_text("function Start-Sleep { }\n")
    return Bench(tmp_path, request.param)


def test_a_first_deployment_gets_three_different_random_keys(bench: Bench) -> None:
    done = bench.run("preprovision", {})
    assert done.returncode == 0, done.stderr
    values = {call[3]: call[4] for call in bench.calls}
    keys = [values["ROUTER_NEW_SECRETS_KEY"], *values["ROUTER_NEW_ACCESS_KEYS"].split(",")]
    assert [len(base64.b64decode(key, validate=True)) for key in keys] == [32, 32, 32]
    assert len(set(keys)) == 3


@pytest.mark.parametrize("name", ["ROUTER_KEYS_VAULT", "ROUTER_NEW_ACCESS_KEYS"])
def test_a_later_deployment_gets_none(bench: Bench, name: str) -> None:
    assert bench.run("preprovision", {name: "there"}).returncode == 0
    assert bench.calls == []


def test_keys_are_made_where_the_variables_are_there_and_empty(bench: Bench) -> None:
    assert bench.run("preprovision", {"ROUTER_KEYS_VAULT": "", "ROUTER_NEW_ACCESS_KEYS": ""}).returncode == 0
    assert bench.count("env set") == 2


def test_a_region_without_flex_consumption_is_told_first(bench: Bench) -> None:
    bench.fault("list-flexconsumption-locations", 9, "North Europe\r")
    done = bench.run("preprovision", {"AZURE_LOCATION": "uaecentral"})
    assert done.returncode == 1
    assert "The region uaecentral does not offer Flex Consumption. Choose one of: northeurope" in done.stderr
    assert bench.count("env set") == 0


@pytest.mark.parametrize("location", ["northeurope", "North Europe"])
def test_a_region_with_it_goes_on_however_it_is_written(bench: Bench, location: str) -> None:
    bench.fault("list-flexconsumption-locations", 9, "North Europe\r")
    assert bench.run("preprovision", {"AZURE_LOCATION": location}).returncode == 0
    assert bench.count("env set") == 2


def test_a_list_of_regions_that_cannot_be_had_stops_nobody(bench: Bench) -> None:
    bench.fault("list-flexconsumption-locations", 9)
    assert bench.run("preprovision", {"AZURE_LOCATION": "northeurope"}).returncode == 0


@pytest.mark.parametrize(
    ("hook", "part", "code"),
    [
        ("preprovision", "ROUTER_NEW_SECRETS_KEY", 3),
        ("preprovision", "ROUTER_NEW_ACCESS_KEYS", 3),
        ("postprovision", "ROUTER_KEYS_VAULT", 3),
        ("postprovision", "ROUTER_NEW_ACCESS_KEYS", 3),
        ("postprovision", "ROUTER_NEW_SECRETS_KEY", 3),
        ("postdown", "ROUTER_KEYS_VAULT", 3),
    ],
)
def test_an_azd_that_fails_ends_the_hook_with_its_code(bench: Bench, hook: str, part: str, code: int) -> None:
    bench.fault(part, 9)
    done = bench.run(hook, DEPLOYED)
    assert done.returncode == code
    assert bench.count(part) == 1
    assert part in " ".join(bench.calls[-1])


def test_the_keys_are_forgotten_once_they_are_in_the_vault(bench: Bench) -> None:
    assert bench.run("postprovision", {"AZURE_KEY_VAULT_NAME": "kv-1"}).returncode == 0
    assert [call[3:] for call in bench.calls] == [
        ["ROUTER_KEYS_VAULT", "kv-1"],
        ["ROUTER_NEW_ACCESS_KEYS="],
        ["ROUTER_NEW_SECRETS_KEY="],
    ]


@pytest.mark.parametrize("environment", [{}, {"AZURE_KEY_VAULT_NAME": ""}], ids=["missing", "empty"])
def test_the_keys_are_kept_where_nobody_knows_the_vault(bench: Bench, environment: dict[str, str]) -> None:
    done = bench.run("postprovision", environment)
    assert done.returncode == 1
    assert "AZURE_KEY_VAULT_NAME. Run 'azd provision' again" in done.stderr
    assert bench.calls == []


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "missing"])
@pytest.mark.parametrize("name", sorted(DEPLOYED))
def test_what_the_subscriptions_need_is_asked_for_first(bench: Bench, name: str, empty: bool) -> None:
    rest = {key: value for key, value in DEPLOYED.items() if key != name}
    done = bench.run("postdeploy", {**rest, name: ""} if empty else rest)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"Not set in the azd environment: {name}. Run 'azd provision', then 'azd hooks run postdeploy'."
    )
    assert bench.calls == []


def test_the_subscriptions_follow_the_keys_and_the_functions(bench: Bench) -> None:
    done = bench.run("postdeploy", DEPLOYED)
    assert done.returncode == 0, done.stderr
    assert "https://app.example" in done.stdout
    show, refresh, references, sync, create = bench.calls
    assert show[1:5] == ["account", "show", "--subscription", "sub"]
    assert refresh[1:6] == ["rest", "--method", "post", "--url", f"{REFRESH}?api-version=2022-03-01"]
    assert references[1:6] == ["rest", "--method", "get", "--url", f"{REFERENCES}api-version=2022-03-01"]
    assert sync[1:6] == ["rest", "--method", "post", "--url", f"{SYNC}?api-version=2022-03-01"]
    assert create[1:8] == ["deployment", "group", "create", "--subscription", "sub", "--resource-group", "a group"]
    template = Path(create[create.index("--template-file") + 1])
    assert template.resolve() == ROOT / "infra/event-subscriptions.bicep"
    at = create.index("--parameters")
    assert create[at + 1 : at + 6] == [
        "topicName=topic",
        "functionAppName=app",
        "deadLetterStorageName=storage",
        "deadLetterContainerName=dead-letters",
        "eventSchema=EventGrid",
    ]


def test_a_value_with_spaces_stays_one_argument(bench: Bench) -> None:
    done = bench.run("postdeploy", {**DEPLOYED, "AZURE_DEAD_LETTER_CONTAINER": "two words"})
    assert done.returncode == 0, done.stderr
    assert "deadLetterContainerName=two words" in bench.calls[-1]


def test_who_is_not_signed_in_is_told_at_once(bench: Bench) -> None:
    bench.fault("account show", 99)
    done = bench.run("postdeploy", DEPLOYED)
    assert done.returncode == 1
    assert "is not signed in to the subscription sub: run 'az login'" in done.stderr
    assert len(bench.calls) == 1


def test_without_the_azure_cli_the_hook_says_what_to_do(bench: Bench) -> None:
    done = bench.run("postdeploy", DEPLOYED, without="az")
    assert done.returncode == 1
    assert "The Azure CLI (az) is needed" in done.stderr
    assert "azd hooks run postdeploy" in done.stderr


@pytest.mark.parametrize("answer", ["", "ROUTER_ACCESS_KEYS"], ids=["refused", "unresolved"])
def test_keys_that_the_app_cannot_read_yet_are_waited_for(bench: Bench, answer: str) -> None:
    bench.fault(REFERENCES, 3, answer)
    done = bench.run("postdeploy", DEPLOYED)
    assert done.returncode == 0, done.stderr
    assert (bench.count(REFRESH), bench.count(REFERENCES)) == (4, 4)
    assert done.stderr.count("The app cannot read its keys yet") == 3


def test_an_empty_answer_is_empty_with_crlf_too(bench: Bench) -> None:
    bench.fault(REFERENCES, 99, "\r")
    assert bench.run("postdeploy", DEPLOYED).returncode == 0
    assert bench.count(REFERENCES) == 1


def test_keys_that_the_app_never_reads_end_it(bench: Bench) -> None:
    bench.fault(REFERENCES, 99, "ROUTER_ACCESS_KEYS")
    done = bench.run("postdeploy", DEPLOYED)
    assert done.returncode == 1
    assert "The app cannot read its keys from the vault kv-1" in done.stderr
    assert (bench.count(REFERENCES), bench.count("create")) == (10, 0)


def test_functions_that_are_not_visible_yet_are_waited_for(bench: Bench) -> None:
    bench.fault("event-subscriptions", 2)
    done = bench.run("postdeploy", DEPLOYED)
    assert done.returncode == 0, done.stderr
    assert (bench.count("group create"), bench.count(SYNC)) == (3, 3)
    assert "the stand-in refuses" in done.stderr


def test_functions_that_never_show_end_it(bench: Bench) -> None:
    bench.fault("event-subscriptions", 99)
    done = bench.run("postdeploy", DEPLOYED)
    assert done.returncode == 1
    assert "The event subscriptions could not be created; az says above why." in done.stderr
    assert bench.count("group create") == 10


def test_a_refresh_or_sync_that_is_refused_is_not_the_end(bench: Bench) -> None:
    bench.fault(REFRESH, 99)
    bench.fault(SYNC, 99)
    assert bench.run("postdeploy", DEPLOYED).returncode == 0
    assert bench.count("group create") == 1


def test_the_scripts_fit_their_shells() -> None:
    """Checked where the other shell is not found too: no CRLF for sh, and nothing that Windows PowerShell 5.1 lacks."""
    for path in (ROOT / "scripts/hooks").iterdir():
        assert b"\r" not in path.read_bytes()
        if path.suffix == ".ps1":
            for line in path.read_text().splitlines():
                words = line.partition("#")[0]
                for join in words.split("Join-Path")[1:]:
                    assert join.split("'")[0].count("..") == 0, line
                assert " && " not in words
                assert " || " not in words
                assert "?? " not in words
