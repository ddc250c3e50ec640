"""The command, word for word, against a router of its own: what it tells, changes and returns (docs/command.md)."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter import models as m
from azure.core.credentials import AzureKeyCredential

from jobrouter import launcher
from jobrouter.command import main
from local.network import choose_port
from local.options import ROOT, read_options
from local.parts import load_parts, make_parts, save_parts
from router.models.types import format_time, parse_time
from router.replay.history import parse
from tests.acceptance.desk import Desk
from tests.acceptance.rule_endpoint import rule_endpoint
from tests.acceptance.service import PREVIEW, send
from tests.eventually import eventually
from tests.local_router import LocalRouter
from tests.yardstick import slower

pytestmark = pytest.mark.ours

Run = Callable[..., "Told"]


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRouter]:
    """One that may be emptied."""
    router = LocalRouter(tmp_path_factory.mktemp("router"))
    yield router
    router.end()


@pytest.fixture
def own(router: LocalRouter) -> Iterator[Desk]:
    credential = AzureKeyCredential(router.key)
    with (
        JobRouterAdministrationClient(router.endpoint, credential) as administration,
        JobRouterClient(router.endpoint, credential) as client,
    ):
        yield Desk(administration, client)


@pytest.fixture
def environment(router: LocalRouter) -> dict[str, str]:
    """Of a person who has started it and said no more."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    return {**kept, "DATA_DIR": str(router.data_dir)}


@dataclass(frozen=True)
class Told:
    stdout: str
    stderr: str


@pytest.fixture
def jobrouter(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs the command in a folder of its own, in this process: `jobrouter("ls", "jobs")`."""

    def run(*arguments: object, code: int = 0, **more: str) -> Told:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name not in environment]:
                patch.delenv(name)
            for name, value in {**environment, **more}.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "stdin", io.StringIO())
            try:
                ended = main([str(one) for one in arguments])
            except SystemExit as end:  # of argparse
                ended = int(end.code or 0)
        told = capsys.readouterr()
        assert ended == code, told.out + told.err
        return Told(told.out, told.err)

    return run


def test_the_launcher_works_in_any_folder(environment: dict[str, str], tmp_path: Path) -> None:
    """Also in one that has modules of the router's names, and for a Python whose path has blanks."""
    binaries = tmp_path / "my venv"
    binaries.mkdir()
    (binaries / "python").symlink_to(sys.executable)
    (tmp_path / "local.py").write_text("raise SystemExit(9)")
    launcher.write(binaries)
    done = subprocess.run(
        [binaries / "jobrouter", "ls", "queues", "--json"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},  # the link is outside of its environment
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert isinstance(json.loads(done.stdout), list)


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()[1:]]


def test_looking(jobrouter: Run, own: Desk, router: LocalRouter) -> None:
    queue = own.queue(name="Help desk")
    worker = own.worker(queue, available_for_offers=False)
    job = own.queued(queue, priority=7)
    (row,) = [one for one in rows(jobrouter("ls", "jobs", "--queue", queue).stdout) if one[0] == job]
    assert row[1:5] == ["queued", "voice", queue, "7"]
    assert json.loads(jobrouter("ls", "jobs", "--queue", queue, "--status", "assigned", "--json").stdout) == []
    (row,) = rows(jobrouter("ls", "workers", "--queue", queue).stdout)
    assert row[:7] == [worker, "inactive", "no", "0", "0", "0", queue]
    (row,) = [one for one in rows(jobrouter("ls", "queues").stdout) if one[0] == queue]
    assert row[1] == "1"
    assert row[-2:] == ["Help", "desk"]
    shown = json.loads(jobrouter("show", "queue", queue, "--json").stdout)
    assert (shown["name"], shown["statistics"]["length"]) == ("Help desk", 1)
    assert "priority: 7" in jobrouter("show", "job", job).stdout
    told = jobrouter("explain", job).stdout
    assert f"{job} is queued. Waits in queue '{queue}'" in told
    assert worker in told
    assert "lifeEnds" in jobrouter("explain", job, "--json").stdout
    string = f"endpoint={router.https_endpoint}/;accesskey={router.key}"
    assert job in jobrouter("ls", "jobs", ROUTER_CONNECTION_STRING=string).stdout, "https, by the local certificate"


def test_what_is_not_there(jobrouter: Run, tmp_path: Path) -> None:
    assert "404" in jobrouter("show", "job", "nowhere", code=1).stderr
    assert "There is no worker nobody." in jobrouter("drain", "nobody", code=1).stderr
    told = jobrouter("ls", "jobs", code=2, DATA_DIR=str(tmp_path / "none")).stderr
    assert "jobrouter start" in told
    assert "one of the two is missing" in jobrouter("ls", "jobs", code=2, ROUTER_CONNECTION_STRING="x").stderr
    string = "endpoint=http://localhost:1/;accesskey=YWFhYWFhYWFhYWFhYWFhYQ=="
    began = time.monotonic()
    told = jobrouter("ls", "jobs", code=2, ROUTER_CONNECTION_STRING=string).stderr
    assert told.startswith("error: localhost:1 does not answer: ClientConnectorError: ")
    assert time.monotonic() - began < 20
    ended = make_parts(read_options({"DATA_DIR": str(tmp_path), "PORT": str(choose_port(None, ()))}), None)
    save_parts(tmp_path, ended)
    told = jobrouter("ls", "jobs", code=2, DATA_DIR=str(tmp_path)).stderr
    assert told == f"error: localhost:{ended.port} does not answer: `jobrouter start` starts it.\n"
    assert "--from" in jobrouter("migrate", "--help").stdout
    assert "--app-only" in jobrouter("start", "--help").stdout


def test_draining(jobrouter: Run, own: Desk) -> None:
    queue = own.queue()
    one, other = own.worker(queue), own.worker(queue)
    job = own.job(queue)
    accepted = own.accept(own.offered_to(job, one, other), job)
    done = jobrouter("drain", "--queue", queue)
    assert sorted(row[0] for row in rows(done.stdout)) == sorted([one, other])
    assert {own.client.get_worker(id).available_for_offers for id in (one, other)} == {False}
    busy = accepted.worker_id
    shown = {row[0]: row[2] for row in rows(done.stdout)}
    assert shown == {one: "1" if one == busy else "0", other: "1" if other == busy else "0"}
    own.close(accepted)
    assert json.loads(jobrouter("drain", busy, "--wait", "--json").stdout)["drained"][0]["assignedJobs"] == []


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "jobrouter", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def subscriptions(router: LocalRouter) -> list[str]:
    parts = load_parts(router.data_dir)
    assert parts is not None
    request = Request(f"{parts.topic_endpoint}/admin/state", headers={"aeg-sas-key": parts.topic_key})
    with urlopen(request, timeout=60) as answer:
        names = json.load(answer)["subscriptions"]
    return [name for name in names if name.startswith("command-")]


def test_tail_tells_of_one_job_what_workers_do_too(own: Desk, environment: dict[str, str], router: LocalRouter) -> None:
    queue = own.queue()
    job, other = own.id("job"), own.id("job")
    process = start(environment, "tail", "--job", job, "--count", "3")
    try:
        eventually(lambda: subscriptions(router), "it has subscribed", 60)  # a process starts first
        own.worker(queue)
        for id in (job, other):  # the worker takes one
            own.client.upsert_job(id, m.RouterJob(channel_id="voice", queue_id=queue))
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    lines = out.splitlines()
    assert len(lines) == 3
    assert all(f"jobId={job}" in line for line in lines)
    assert {line.split()[1] for line in lines} == {"RouterJobReceived", "RouterJobQueued", "RouterWorkerOfferIssued"}
    assert subscriptions(router) == []


def test_listen_hands_on_the_handshake_and_the_events(
    own: Desk, environment: dict[str, str], router: LocalRouter
) -> None:
    with rule_endpoint() as webhook:
        handshakes: list[str] = []

        def answer(body: Any) -> Any:
            if "validationCode" in body[0]["data"]:
                handshakes.append(body[0]["data"]["validationCode"])
                return {"validationResponse": handshakes[0]}
            return {}

        webhook.answer = answer
        process = start(environment, "listen", "--forward-to", webhook.url(), "--type", "RouterJobReceived")
        try:
            eventually(lambda: handshakes, "the handshake comes", 60)  # a process starts first
            job = own.job(own.queue())
            types = eventually(lambda: [b[0]["eventType"] for b in webhook.bodies if b[0]["data"].get("jobId") == job])
            assert types == ["Microsoft.Communication.RouterJobReceived"]
        finally:
            process.terminate()
            process.communicate(timeout=20)
    eventually(lambda: subscriptions(router) == [], "it has left nothing behind")


@pytest.mark.timed
def test_the_first_event_is_at_the_webhook_within_two_seconds(own: Desk, environment: dict[str, str]) -> None:
    """Of the command's start, handshake and all. The best of three."""
    queue = own.queue()

    def seconds() -> float:
        with rule_endpoint() as webhook:
            arrived: list[float] = []

            def answer(body: Any) -> Any:
                code = body[0]["data"].get("validationCode")
                if code is None:
                    arrived.append(time.monotonic())
                return {"validationResponse": code}

            webhook.answer = answer
            began = time.monotonic()
            process = start(environment, "listen", "--forward-to", webhook.url())
            try:
                eventually(lambda: (own.job(queue), arrived)[1], "an event comes", 30)
            finally:
                process.terminate()
                process.communicate(timeout=20)
            return arrived[0] - began

    assert min(seconds() for _ in range(3)) < 2 * slower()


def test_listen_says_why_nothing_comes(environment: dict[str, str]) -> None:
    with rule_endpoint() as webhook:
        webhook.answer = lambda _: {"thanks": True}
        process = start(environment, "listen", "--forward-to", webhook.url())
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("200  handshake  (no events before the handshake:")
        finally:
            process.terminate()
            process.communicate(timeout=20)


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def test_configuration_as_files(jobrouter: Run, own: Desk, tmp_path: Path) -> None:
    scoring = m.BestWorkerMode(scoring_rule=m.ExpressionRouterRule(expression="1"))
    rule = m.ExceptionRule(
        id="long", trigger=m.WaitTimeExceptionTrigger(threshold_seconds=60), actions=[m.CancelExceptionAction(note="n")]
    )
    queue = own.queue(scoring, exception_policy_id=own.exceptions(rule), labels={"ü/1": 1.5}, name="Queue")
    own.classification(fallback_queue_id=queue, prioritization_rule=m.StaticRouterRule(value=3))
    job = own.queued(queue)
    first, second = tmp_path / "first", tmp_path / "second"
    jobrouter("export", first, "--workers")
    assert jobrouter("plan", first, "--check").stdout.count("to ") == 0
    before = own.administration.get_queue(queue).etag
    jobrouter("apply", first, "--yes")
    assert own.administration.get_queue(queue).etag == before, "what is so already is not written"

    queues = json.loads((first / "queues.json").read_text())
    queues[queue] = {**queues[queue], "name": "Renamed", "labels": {}}
    queues["of-a-file"] = {"distributionPolicyId": queues[queue]["distributionPolicyId"]}
    (first / "queues.json").write_text(json.dumps(queues))
    told = jobrouter("plan", first, "--out", tmp_path / "kept.json").stdout
    assert f"~ Queue {queue}  (labels" in told
    assert "+ Queue of-a-file" in told
    assert "1 job waiting in 1 queue that this touches." in told
    assert "None of them would match differently" in told
    assert jobrouter("plan", first, "--check", code=1).stdout == told
    assert "--yes" in jobrouter("apply", first, code=2).stderr, "nobody can be asked"
    assert "1 created, 1 changed." in jobrouter("apply", first, "--plan", tmp_path / "kept.json", "--yes").stdout
    changed = own.administration.get_queue(queue)
    assert (changed.name, {name for name in changed.labels or {} if name != "Id"}) == ("Renamed", set())
    jobrouter("export", first, "--workers")
    jobrouter("export", second, "--workers")
    assert files_of(first) == files_of(second)
    jobrouter("plan", second, "--check")

    queues = json.loads((second / "queues.json").read_text())
    del queues["of-a-file"]
    queues[queue]["name"] = "Third"
    (second / "queues.json").write_text(json.dumps(queues))
    assert "1 resource of the router in no file" in jobrouter("plan", second).stdout
    jobrouter("plan", second, "--prune", "--out", tmp_path / "kept.json")
    own.administration.upsert_queue(queue, name="By somebody else")
    told = jobrouter("apply", second, "--prune", "--plan", tmp_path / "kept.json", "--yes", code=1).stderr
    assert "out of date" in told
    assert own.administration.get_queue(queue).name == "By somebody else"
    assert "1 changed, 1 deleted." in jobrouter("apply", second, "--prune", "--yes").stdout
    assert "404" in jobrouter("show", "queue", "of-a-file", code=1).stderr
    assert own.client.get_job(job).status == "queued"


def test_a_plan_tells_how_many_waiting_jobs_would_match_differently(jobrouter: Run, own: Desk, tmp_path: Path) -> None:
    """What the plan says of the jobs is what happens to them: the two that it names get an offer."""
    queue, other = own.queue(), own.queue()
    french = m.RouterWorkerSelector(key="language", label_operator="equal", value="fr")
    needy = [own.queued(queue, requested_worker_selectors=[french]) for _ in range(2)]
    worker = own.worker(other, labels={"language": "fr"})
    waits = own.queued(
        queue, requested_worker_selectors=[m.RouterWorkerSelector(key="x", label_operator="equal", value=1)]
    )
    files = tmp_path / "files"
    jobrouter("export", files, "--workers")
    workers = json.loads((files / "workers.json").read_text())
    workers[worker]["queues"] = [queue, other]
    workers[worker]["capacity"] = 100
    (files / "workers.json").write_text(json.dumps(workers))
    told = jobrouter("plan", files).stdout
    assert "3 jobs waiting in 2 queues that this touches." in told
    assert "2 of them would match differently" in told
    assert "2 for which nobody qualifies now would have a worker." in told
    counts = json.loads(jobrouter("plan", files, "--json").stdout)
    assert [counts[name] for name in EFFECT] == [3, 3, 2, 2, 0]
    jobrouter("apply", files, "--yes")
    assert {own.offer(worker, job).job_id for job in needy} == set(needy)
    assert own.client.get_job(waits).status == "queued"

    # Without the workers' file it is known all the same who works where: here the policy lets selectors aside.
    (files / "workers.json").unlink()
    policies = json.loads((files / "distribution-policies.json").read_text())
    policy = own.administration.get_queue(queue).distribution_policy_id
    policies[policy]["mode"]["bypassSelectors"] = True
    (files / "distribution-policies.json").write_text(json.dumps(policies))
    counts = json.loads(jobrouter("plan", files, "--json").stdout)
    assert [counts[name] for name in EFFECT] == [3, 3, 3, 1, 0]


EFFECT = (
    "waitingJobsTouched",
    "waitingJobsLookedAt",
    "waitingJobsMatchedDifferently",
    "waitingJobsWithFirstWorker",
    "waitingJobsWithoutWorker",
)


def test_secrets_do_not_go_into_files(jobrouter: Run, own: Desk, tmp_path: Path) -> None:
    credential = m.FunctionRouterRuleCredential(function_key="a-secret")
    rule = m.FunctionRouterRule(function_uri="https://f.example.com/", credential=credential)
    policy = own.classification(prioritization_rule=rule)
    jobrouter("export", tmp_path / "files")
    assert "a-secret" not in "".join(files_of(tmp_path / "files").values())
    jobrouter("plan", tmp_path / "files", "--check")
    policies = json.loads((tmp_path / "files" / "classification-policies.json").read_text())
    policies["copy"] = policies[policy]
    (tmp_path / "files" / "classification-policies.json").write_text(json.dumps(policies))
    place = "ClassificationPolicy/copy/prioritizationRule/credential/functionKey"
    assert f"! a secret is missing: {place}" in jobrouter("plan", tmp_path / "files").stdout
    jobrouter("apply", tmp_path / "files", "--yes", code=2)
    (tmp_path / "secrets.json").write_text(json.dumps({place: "another"}))
    jobrouter("apply", tmp_path / "files", "--yes", "--secrets", tmp_path / "secrets.json")
    jobrouter("plan", tmp_path / "files", "--check")
    assert own.administration.get_classification_policy("copy").prioritization_rule.credential is not None


def test_a_file_that_is_refused(jobrouter: Run, own: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    assert "has none of" in jobrouter("plan", folder, code=2).stderr
    (folder / "queues.json").write_text('{"a": {}, "a": {}}')
    assert "'a' stands there twice" in jobrouter("plan", folder, code=2).stderr
    (folder / "queues.json").write_text('{"new": {"distributionPolicyId": "not-there"}}')
    told = jobrouter("apply", folder, "--yes", code=1).stderr
    assert "Queue new: 400" in told
    assert "0 of 1 changes were made" in told


def test_purging(jobrouter: Run, own: Desk) -> None:
    queue = own.queue()
    worker = own.worker(queue, capacity=2)
    done, waiting = own.queued(queue), own.queued(queue)
    own.client.cancel_job(done)
    assert json.loads(jobrouter("purge", "--older-than", "1d", "--yes", "--json").stdout)["deleted"]["jobs"] == 0
    assert "Nobody can be asked" in jobrouter("purge", "--queue", queue, code=2).stderr
    jobrouter("purge", "--queue", queue, "--yes")
    ids = [job["id"] for job in json.loads(jobrouter("ls", "jobs", "--status", "all", "--json").stdout)]
    assert (done in ids, waiting in ids) == (False, True)
    completed = own.job(queue, priority=99)
    own.client.complete_job(completed, own.accept(worker, completed).assignment_id)
    jobrouter("purge", "--all", "--yes")
    for kind in ("jobs", "workers", "queues", "distribution-policies", "classification-policies", "exception-policies"):
        assert json.loads(jobrouter("ls", kind, "--json", "--status", "all").stdout) == [], kind


@pytest.mark.timeout(180)
def test_five_hundred_resources(jobrouter: Run, own: Desk, tmp_path: Path) -> None:
    """They are there within a minute; applied again nothing changes; an export is the same after an apply."""
    ids = [f"{number:03}" for number in range(100)]
    of_files: dict[str, dict[str, Any]] = {
        "distribution-policies": {id: {"mode": {"kind": "longestIdle"}} for id in ids},
        "exception-policies": {
            id: {
                "exceptionRules": [
                    {
                        "id": "full",
                        "trigger": {"kind": "queueLength", "threshold": int(id) + 1},
                        "actions": [{"kind": "cancel", "note": "full"}],
                    }
                ]
            }
            for id in ids
        },
        "queues": {id: {"distributionPolicyId": id, "exceptionPolicyId": id, "labels": {"n": int(id)}} for id in ids},
        "classification-policies": {id: {"fallbackQueueId": id} for id in ids},
        "workers": {
            id: {"capacity": 1, "queues": [id], "channels": [{"channelId": "chat", "capacityCostPerJob": 1}]}
            for id in ids
        },
    }
    jobrouter("purge", "--all", "--yes")
    folder, first, second = tmp_path / "files", tmp_path / "first", tmp_path / "second"
    folder.mkdir()
    for name, resources in of_files.items():
        (folder / f"{name}.json").write_text(json.dumps(resources))
    began = time.monotonic()
    assert "500 created." in jobrouter("apply", folder, "--yes").stdout
    assert time.monotonic() - began < 60

    def etags() -> dict[str, list[Any]]:
        return {kind: json.loads(jobrouter("ls", kind, "--json").stdout) for kind in of_files}

    before = etags()
    assert sum(len({one["etag"] for one in listed}) for listed in before.values()) == 500
    assert json.loads(jobrouter("apply", folder, "--yes", "--json").stdout) == {
        "changed": {"create": 0, "update": 0, "delete": 0},
        "same": 500,
    }
    assert etags() == before
    jobrouter("export", first, "--workers")
    jobrouter("apply", first, "--prune", "--yes")
    jobrouter("export", second, "--workers")
    assert len(files_of(first)) == len(of_files)
    assert files_of(first) == files_of(second)
    assert etags() == before


def test_the_history_as_a_file_and_a_table(jobrouter: Run, own: Desk, tmp_path: Path) -> None:
    """From what customers and agents did to the files of `export history`, and from there to the simulation."""
    before = format_time(datetime.now(UTC))
    queue = own.queue(name="Exported")
    worker = own.worker(queue)
    job = own.queued(queue)
    accepted = own.accept(worker, job)
    own.close(accepted)
    waiting = own.queued(own.queue())
    file, sheet = tmp_path / "day.ndjson", tmp_path / "day.csv"

    def exported() -> dict[str, dict[str, Any]]:
        told = jobrouter("export", "history", "--from", before, file).stdout
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert told == f"{file}: {len(lines)} lines\n"
        assert (lines[0]["kind"], parse_time(lines[0]["from"])) == ("header", parse_time(before))
        return {one["id"]: one for one in lines[1:]}

    def is_whole() -> bool:
        found = exported()
        ends = [one["what"] for one in found.get(job, {}).get("entries", [])][-1:]
        return ends == ["closed"] and {waiting, worker, queue} <= found.keys()

    eventually(is_whole, "all is in the log", 90)
    by_id = exported()
    assert [one["what"] for one in by_id[job]["entries"]] == ["queued", "offered", "accepted", "completed", "closed"]
    assert {by_id[one]["kind"] for one in (job, waiting)} == {"job"}
    assert (by_id[worker]["kind"], by_id[queue]["kind"]) == ("worker", "queue")

    told = jobrouter("export", "history", "--from", before, "--format", "csv", sheet).stdout
    rows = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8"), newline="")))
    assert told == f"{sheet}: {len(rows)} entries\n"
    of_job = [row for row in rows if row["owner"] == f"job/{job}"]
    assert of_job[-1]["eventType"].endswith("RouterJobClosed")
    timeline = [
        one["eventId"]
        for one in send(own.client, "GET", f"routing/jobs/{job}/timeline", version=PREVIEW).json()["value"]
    ]
    assert [row["eventId"] for row in of_job] == timeline
    day = parse(file.read_text(encoding="utf-8").splitlines(), file.name)
    assert {job, waiting} <= {one.id for one in day.jobs}
    early = jobrouter(
        "export", "history", "--from", "2020-01-01", "--to", "2020-01-02", tmp_path / "none.csv", "--format", "csv"
    )
    assert early.stdout.endswith(": 0 entries\n")
