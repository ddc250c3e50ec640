"""A whole run of the command between two routers that are lists in memory: what it tells, writes and remembers
(docs/migrating-from-acs.md)."""

from __future__ import annotations

import asyncio
import base64
import getpass
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from router.migrate.client import Client
from router.migrate.command import main
from router.migrate.failure import Refused
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, JOB, KINDS, QUEUE, WORKER, Document, Kind

KEY = base64.b64encode(b"k" * 32).decode()
HERE, THERE = (f"endpoint=http://127.0.0.1:{port}/;accesskey={KEY}" for port in (1, 2))
FUNCTION = {"kind": "function", "functionUri": "https://f.example/", "credential": {"functionKey": "********"}}
PLACE = "ClassificationPolicy/c/prioritizationRule/credential/functionKey"


class Routers:
    """Both sides, by kind and id; what is written to the second one; and what it refuses."""

    def __init__(self) -> None:
        self.here: dict[Kind, dict[str, Document]] = {kind: {} for kind in KINDS}
        self.there: dict[Kind, dict[str, Document]] = {kind: {} for kind in KINDS}
        self.writes: list[tuple[str, str, Document]] = []
        self.refused: Mapping[str, Refused] = {}

    def add(self, kind: Kind, id: str, there: bool = False, **document: Any) -> None:
        side = self.there if there else self.here
        side[kind][id] = {"id": id, "etag": f"{kind.name} {id} {there}", **document}

    def fill(self) -> None:
        self.add(DISTRIBUTION, "d", mode={"kind": "longestIdle"})
        self.add(QUEUE, "q", distributionPolicyId="d")
        worker: Document = {"capacity": 1, "queues": ["q"], "channels": [], "assignedJobs": [], "offers": []}
        self.add(WORKER, "w", **worker, availableForOffers=True, state="active")
        for number in (2, 1):
            at = f"2024-03-04T08:00:0{number}+00:00"
            job: Document = {
                "channelId": "voice",
                "queueId": "q",
                "priority": 1,
                "matchingMode": {"kind": "queueAndMatch"},
            }
            self.add(JOB, f"j{number}", **job, status="queued", enqueuedAt=at)

    def written(self, kind: Kind) -> list[str]:
        return [id for name, id, _ in self.writes if name == kind.name]


@pytest.fixture
def routers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Routers:
    routers = Routers()

    async def settle_version(client: Client) -> None:
        pass

    async def listed(client: Client, kind: Kind) -> AsyncIterator[Document]:
        side = routers.here if client.endpoint.host.endswith(":1") else routers.there
        for document in list(side[kind].values()):
            yield document

    async def upsert(client: Client, kind: Kind, id: str, body: Document, *, new: bool = False) -> Document:
        assert client.endpoint.host.endswith(":2"), "nothing is written to the source"
        client.requests += 1
        if id in routers.refused:
            raise routers.refused[id]
        routers.writes.append((kind.name, id, body))
        if new and id in routers.there[kind]:
            raise Refused(412, "ConditionNotMet", "it is there")
        old = routers.there[kind].get(id, {})
        routers.there[kind][id] = {**old, **body, "id": id, "etag": f"there {len(routers.writes)}"}
        return routers.there[kind][id]

    monkeypatch.setattr(Client, "settle_version", settle_version)
    monkeypatch.setattr(Client, "list", listed)
    monkeypatch.setattr(Client, "upsert", upsert)
    monkeypatch.chdir(tmp_path)
    return routers


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(routers: Routers, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the command with further options: its exit code, and what it has told on both channels."""

    def started(*options: str) -> tuple[int, str, str]:
        code = main(["--from", HERE, "--to", THERE, "--state", str(tmp_path / "state"), *options])
        told = capsys.readouterr()
        assert KEY not in told.out + told.err
        return code, told.out, told.err

    return started


def test_everything_goes_over_in_its_order_and_a_second_run_finds_nothing_to_do(routers: Routers, run: Run) -> None:
    routers.fill()
    code, out, err = run()
    assert code == 0
    assert [name for name, _, _ in routers.writes[:3]] == [DISTRIBUTION.name, QUEUE.name, WORKER.name]
    # First written, suspended, then queued in the order in which they entered the queue.
    assert routers.written(JOB)[-2:] == ["j1", "j2"]
    assert sorted(routers.written(JOB)) == ["j1", "j1", "j2", "j2"]
    assert "Written: 1 distribution policies, 1 queues, 1 workers, 2 jobs. Queued: 2." in out
    assert "read source http://127.0.0.1:1: 1 distribution policies" in err
    assert not routers.there[WORKER]["w"].get("availableForOffers")
    routers.writes.clear()
    code, out, _ = run()
    assert (code, routers.writes) == (0, [])
    assert "Written: nothing. Queued: 0." in out


def test_a_dry_run_tells_the_plan_and_writes_nothing(routers: Routers, run: Run, tmp_path: Path) -> None:
    routers.fill()
    code, out, _ = run("--dry-run")
    assert (code, routers.writes) == (0, [])
    assert out.endswith("Nothing was written.\n")
    lines = {line[:24].strip(): line[24:].split() for line in out.splitlines()}
    assert lines["jobs"] == ["2", "0", "0", "0"]
    assert lines["jobs to queue in order"] == ["2"]
    assert lines["workers available"][0] == "1"
    assert not (tmp_path / "state").exists()


def test_workers_become_available_when_asked_for_and_only_once(routers: Routers, run: Run) -> None:
    routers.fill()
    code, out, _ = run("--activate")
    assert (code, routers.there[WORKER]["w"]["availableForOffers"]) == (0, True)
    assert "Made available: 1 workers." in out
    routers.there[WORKER]["w"]["availableForOffers"] = False
    assert "Made available: 0 workers." in run("--activate")[1]


def test_what_differs_is_left_and_told_or_written_over_when_asked_for(routers: Routers, run: Run) -> None:
    routers.fill()
    routers.add(DISTRIBUTION, "d", there=True, mode={"kind": "roundRobin"}, name="mine")
    code, out, _ = run()
    assert (code, routers.written(DISTRIBUTION)) == (1, [])
    assert "Not moved, or not as it is:" in out
    assert "DistributionPolicy d" in out
    code, _, _ = run("--overwrite")
    assert code == 0
    assert routers.there[DISTRIBUTION]["d"]["mode"] == {"kind": "longestIdle"}
    assert routers.there[DISTRIBUTION]["d"]["name"] is None


def test_what_is_refused_is_told_and_the_rest_goes_on(routers: Routers, run: Run) -> None:
    routers.fill()
    routers.refused = {"w": Refused(400, "BadRequest", "capacity is wrong"), "j1": Refused(400, "BadRequest", "no")}
    code, out, _ = run("--activate")
    assert code == 1
    assert "2 refused:" in out
    assert "- Worker w: " in out
    assert "capacity is wrong" in out
    assert "Queued: 1. Made available: 0 workers." in out


def test_a_job_that_is_there_by_now_is_taken_for_written(routers: Routers, run: Run) -> None:
    """Its own write, whose answer was lost and which was sent again."""
    routers.fill()
    upsert = Client.upsert

    async def written_before(client: Client, kind: Kind, id: str, body: Document, *, new: bool = False) -> Document:
        if new and id == "j1":
            await upsert(client, kind, id, body)
        return await upsert(client, kind, id, body, new=new)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Client, "upsert", written_before)
        code, out, _ = run()
    assert code == 0
    assert "2 jobs. Queued: 2." in out


def test_both_sides_are_compared(routers: Routers, run: Run) -> None:
    routers.fill()
    run()
    assert run("--check") == (0, run("--check")[1], run("--check")[2])
    assert run("--check")[1].endswith("Both sides are equal.\n")
    routers.writes.clear()
    routers.there[QUEUE]["q"]["name"] = "other"
    del routers.there[WORKER]["w"]
    for number in range(12):
        routers.add(EXCEPTION, f"e{number:02}", exceptionRules=[])
    routers.add(DISTRIBUTION, "more", there=True, mode={"kind": "roundRobin"})
    routers.add(JOB, "talks", channelId="voice", queueId="q", status="assigned")
    code, out, _ = run("--check")
    assert (code, routers.writes) == (1, [])
    assert "- Queue q differs at name" in out
    assert "- missing workers: w" in out
    assert "- missing exception policies: e00, e01, e02, e03, e04, e05, e06, e07, e08, e09 and 2 more" in out
    assert "jobs of the source that do not wait: 1" in out
    assert out.endswith("The two sides are not equal.\n")
    lines = {line[:24].strip(): line[24:].split() for line in out.splitlines()}
    assert lines["distribution policies"] == ["1", "0", "0", "1"]


def test_jobs_in_another_order_are_told(routers: Routers, run: Run) -> None:
    routers.fill()
    run()
    for number, id in enumerate(("j2", "j1"), 1):
        at = f"2024-03-05T08:00:0{number}+00:00"
        routers.there[JOB][id] |= {"status": "queued", "enqueuedAt": at, "matchingMode": {"kind": "queueAndMatch"}}
    code, out, _ = run("--check")
    assert (code, "- jobs stand in another order in: q" in out) == (1, True)


def test_secrets_that_nobody_supplies_are_named_and_the_run_is_not_complete(routers: Routers, run: Run) -> None:
    routers.add(CLASSIFICATION, "c", prioritizationRule=FUNCTION)
    code, out, _ = run("--no-input")
    assert code == 1
    assert f"    {PLACE}" in out
    code, out, _ = run("--check")
    assert (code, f"    {PLACE}" in out) == (1, True)


def test_secrets_of_a_file_are_written_and_never_told(routers: Routers, run: Run, tmp_path: Path) -> None:
    routers.add(CLASSIFICATION, "c", prioritizationRule=FUNCTION)
    (tmp_path / "secrets").write_text(json.dumps({PLACE: "hidden", "ClassificationPolicy/x/y": "z"}))
    code, out, err = run("--secrets", str(tmp_path / "secrets"))
    assert code == 0
    assert routers.there[CLASSIFICATION]["c"]["prioritizationRule"]["credential"]["functionKey"] == "hidden"
    assert "hidden" not in out + err
    assert "warning: 1 places of the secrets file" in out
    assert "    ClassificationPolicy/x/y" in out


@pytest.mark.parametrize(("answer", "code"), [("hidden", 0), ("", 1)])
def test_secrets_are_asked_for_on_a_terminal(
    routers: Routers, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt.strip())
        return answer

    monkeypatch.setattr(getpass, "getpass", ask)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    routers.add(CLASSIFICATION, "c", prioritizationRule=FUNCTION)
    assert run()[0] == code
    assert asked == [f"{PLACE}:"]
    written = routers.there[CLASSIFICATION]["c"]["prioritizationRule"].get("credential")
    assert written == ({"functionKey": answer} if answer else None)


@pytest.mark.parametrize("content", ["[]", '{"a": 5}', "{", None])
def test_a_secrets_file_that_is_none(routers: Routers, run: Run, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "secrets").write_text(content)
    code, _, err = run("--secrets", str(tmp_path / "secrets"))
    assert code == 2
    assert f"error: The secrets file {tmp_path / 'secrets'} " in err


def test_the_same_router_twice_is_refused(routers: Routers, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--from", HERE, "--to", HERE]) == 2
    assert "are the same router" in capsys.readouterr().err


def test_whoever_stops_a_run_is_told_how_to_go_on(routers: Routers, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(work: Coroutine[Any, Any, int]) -> int:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", stopped)
    code, _, err = run()
    assert (code, err) == (2, "\nStopped. Run again to go on.\n")


def test_a_connection_string_may_stand_in_a_file(routers: Routers, tmp_path: Path) -> None:
    (tmp_path / "here").write_text(HERE)
    assert main(["--from", f"@{tmp_path / 'here'}", "--to", THERE, "--dry-run"]) == 0
