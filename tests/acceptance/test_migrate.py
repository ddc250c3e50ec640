"""Moving a router's work to another with `python -m router.migrate`: complete, in order, resumed after kill -9, and
without effect when run again. `ROUTER_MIGRATE_FULL=1` moves 20 policies, 50 queues, 1,000 workers and 5,000 jobs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.communication.jobrouter import models
from azure.communication.jobrouter.aio import JobRouterAdministrationClient, JobRouterClient
from azure.core.credentials import AzureKeyCredential

from local.options import ROOT
from tests.conftest import StartRouter
from tests.eventually import eventually_async
from tests.local_router import LocalRouter

pytestmark = [pytest.mark.ours, pytest.mark.timeout(3600)]

FULL = os.environ.get("ROUTER_MIGRATE_FULL") == "1"
SECRET = "a-function-key-that-nobody-may-see"
#: Labels are the client's own, also those that have names of the service's.
ODD = {"functionKey": "a", "kind": "x", "labelOperator": "y", "status": "z", "expiresAt": "soon", "scheduleAt": "later"}
PLACE = "ClassificationPolicy/classify-0/prioritizationRule/credential/functionKey"


@dataclass(frozen=True)
class Volume:
    distribution: int
    exception: int
    classification: int
    queues: int
    workers: int
    jobs: int


VOLUME = Volume(8, 4, 8, 50, 1000, 5000) if FULL else Volume(2, 1, 2, 10, 60, 150)


@dataclass(frozen=True)
class Pair:
    source: LocalRouter
    target: LocalRouter
    state: Path
    secrets: Path

    def command(self, *options: str) -> list[str]:
        ends = [
            "--from",
            _connection_string(self.source),
            "--to",
            _connection_string(self.target),
            "--state",
            str(self.state),
        ]
        return [sys.executable, "-m", "router.migrate", *ends, "--secrets", str(self.secrets), *options]

    def migrate(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*options), cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRouter]:
    """A router at work. Nothing here writes to it."""
    router = LocalRouter(tmp_path_factory.mktemp("source"))
    try:
        asyncio.run(_fill(router))
        yield router
    finally:
        router.end()


@pytest.fixture
def pair(source: LocalRouter, start_router: StartRouter, tmp_path: Path) -> Pair:
    """Beside it one that nothing was moved to yet."""
    return _pair(source, start_router(), tmp_path)


@pytest.fixture(scope="module")
def moved(source: LocalRouter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Beside it one that everything was moved to, and that no test leaves otherwise."""
    target = LocalRouter(tmp_path_factory.mktemp("target"))
    try:
        pair = _pair(source, target, tmp_path_factory.mktemp("move"))
        done = pair.migrate()
        assert done.returncode == 0, done.stdout + done.stderr
        yield pair
    finally:
        target.end()


def _pair(source: LocalRouter, target: LocalRouter, folder: Path) -> Pair:
    secrets = folder / "secrets.json"
    secrets.write_text(json.dumps({PLACE: SECRET}))
    return Pair(source, target, folder / "state.jsonl", secrets)


def test_a_dry_run_prints_the_plan_and_writes_nothing(pair: Pair) -> None:
    planned = pair.migrate("--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert f"jobs {VOLUME.jobs}" in " ".join(planned.stdout.split())
    assert "is assigned, not waiting" in planned.stdout
    assert "they become requested ones" in planned.stdout
    there = asyncio.run(_read(pair.target))
    assert not any(there.values())
    assert not pair.state.exists()


def test_secrets_that_cannot_be_read_are_listed_and_keys_never_shown(pair: Pair, tmp_path: Path) -> None:
    nothing = tmp_path / "none.json"
    nothing.write_text("{}")
    planned = subprocess.run(
        [*pair.command("--dry-run"), "--secrets", str(nothing)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert PLACE in planned.stdout
    told = planned.stdout + planned.stderr + " ".join(pair.migrate("--check").stdout)
    for secret in (SECRET, pair.source.key, pair.target.key):
        assert secret not in told


def test_resumed_after_two_kills_it_is_complete_equal_and_then_changes_nothing(pair: Pair) -> None:
    before = asyncio.run(_read(pair.source))
    began = time.monotonic()
    asyncio.run(_kill_when(pair, lambda: _at_least(pair.target, VOLUME.jobs // 2)))
    written = asyncio.run(_read(pair.target))
    assert VOLUME.jobs // 2 <= len(written["jobs"]) < VOLUME.jobs
    assert pair.migrate("--check").returncode == 1

    asyncio.run(_kill_when(pair, lambda: _moved(pair.state, VOLUME.jobs // 2)))
    assert _lines(pair.state) < VOLUME.jobs
    last = pair.migrate()
    print(f"three runs took {time.monotonic() - began:.1f} s\n{last.stdout}{last.stderr}")
    assert last.returncode == 0, last.stdout + last.stderr

    checked = pair.migrate("--check")
    assert "Both sides are equal." in checked.stdout, checked.stdout
    assert checked.returncode == 0

    here, there = asyncio.run(_read(pair.source)), asyncio.run(_read(pair.target))
    assert here == before, "the source was only read"
    _assert_same(here, there)

    again = pair.migrate()
    assert again.returncode == 0
    assert "Queued: 0. Made available: 0 workers." in again.stdout
    # The policy whose secret is supplied is written once more, which changes nothing.
    assert "Written: 1 classification policies." in again.stdout
    assert asyncio.run(_read(pair.target)) == there


def test_jobs_wait_in_the_same_order(moved: Pair) -> None:
    async def places(router: LocalRouter) -> dict[str, int]:
        async with _client(router) as client:
            waiting = [job.id async for job in client.list_jobs(queue_id="queue-0", status="queued")]
            some = waiting[:: len(waiting) // 30 + 1]
            found = await asyncio.gather(*(client.get_queue_position(id) for id in some))
            return {place.job_id: place.position for place in found}

    assert asyncio.run(places(moved.source)) == asyncio.run(places(moved.target))


def test_a_secret_that_was_moved_is_kept_and_not_shown(moved: Pair) -> None:
    async def policy() -> Any:
        async with _administration(moved.target) as client:
            return (await client.get_classification_policy("classify-0")).as_dict()

    shown = asyncio.run(policy())["prioritizationRule"]["credential"]
    assert shown == {"functionKey": "********"}


def test_what_was_changed_over_there_is_left_unless_told_otherwise(moved: Pair) -> None:
    async def rename(name: str) -> None:
        async with _administration(moved.target) as client:
            await client.upsert_queue("queue-1", name=name, labels={"functionKey": "b", "kind": "x2", "priority": 1})

    async def name() -> str | None:
        async with _administration(moved.target) as client:
            return (await client.get_queue("queue-1")).name

    before = asyncio.run(_read(moved.target))["queues"]["queue-1"]
    asyncio.run(rename("Renamed here"))
    left = moved.migrate()
    assert left.returncode == 1
    assert "Queue queue-1" in left.stdout
    assert asyncio.run(name()) == "Renamed here"
    checked = moved.migrate("--check")
    assert checked.returncode == 1
    assert "Queue queue-1 differs at labels.functionKey, labels.kind, labels.priority, name" in checked.stdout
    assert moved.migrate("--overwrite").returncode == 0
    assert _without(asyncio.run(_read(moved.target))["queues"]["queue-1"], {"etag"}) == _without(before, {"etag"})
    assert moved.migrate("--check").returncode == 0


def test_workers_become_available_only_when_told_and_a_job_served_there_does_not_come_back(pair: Pair) -> None:
    async def available() -> int:
        async with _client(pair.target) as client:
            return len([1 async for worker in client.list_workers(state="active") if worker.available_for_offers])

    first = pair.migrate()
    assert first.returncode == 0, first.stdout + first.stderr
    assert asyncio.run(available()) == 0
    activated = pair.migrate("--activate")
    assert activated.returncode == 0, activated.stdout + activated.stderr
    ready = sum(1 for number in range(VOLUME.workers) if number % 10 == 0)
    assert asyncio.run(available()) == ready

    async def end_one_and_send_one_home() -> None:
        async with _client(pair.target) as client:
            await client.cancel_job("job-2")
            await client.delete_job("job-2")
            await client.upsert_worker("worker-0", available_for_offers=False)

    asyncio.run(end_one_and_send_one_home())
    again = pair.migrate("--activate")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "job-2" not in asyncio.run(_read(pair.target))["jobs"]
    assert asyncio.run(available()) == ready - 1
    assert "moved and gone on since: 1" in pair.migrate("--check").stdout


def test_one_router_under_two_names_is_refused(moved: Pair) -> None:
    target = _connection_string(moved.target)
    other = target.replace("localhost", "127.0.0.1")
    assert other != target
    command = [*moved.command("--check"), "--from", other, "--state", str(moved.state.with_name("other.jsonl"))]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 2, refused.stdout
    assert "one router under two names" in refused.stderr


def test_a_wrong_key_is_said_and_not_shown(moved: Pair) -> None:
    wrong = _connection_string(moved.target)[:-6] + "AAAAA="
    command = [
        sys.executable,
        "-m",
        "router.migrate",
        "--from",
        wrong,
        "--to",
        _connection_string(moved.source),
        "--dry-run",
    ]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert refused.returncode == 2
    assert "does not accept the access key" in refused.stderr
    assert wrong.rpartition("=")[0] not in refused.stderr


def _connection_string(router: LocalRouter) -> str:
    return f"endpoint={router.endpoint}/;accesskey={router.key}"


def _client(router: LocalRouter) -> JobRouterClient:
    return JobRouterClient(router.endpoint, AzureKeyCredential(router.key))


def _administration(router: LocalRouter) -> JobRouterAdministrationClient:
    return JobRouterAdministrationClient(router.endpoint, AzureKeyCredential(router.key))


async def _fill(router: LocalRouter) -> None:
    async with _administration(router) as administration, _client(router) as client:
        await _all(_policies(administration))
        await _all(
            administration.upsert_queue(
                f"queue-{number}",
                name=f"Queue {number}",
                distribution_policy_id=f"distribute-{number % VOLUME.distribution}",
                exception_policy_id=f"except-{number % VOLUME.exception}" if number % 3 == 0 else None,
                labels={"number": number, "even": number % 2 == 0, "name": "söuth/#1", **ODD},
            )
            for number in range(VOLUME.queues)
        )
        await _all(_classification(administration))
        await _all(_workers(client))
        await _assign_one(client)
        await _all(_jobs(client))

        async def settled() -> bool:
            moving = [job.id async for job in client.list_jobs(status="created")]
            moving += [job.id async for job in client.list_jobs(status="pendingClassification")]
            moving += [job.id async for job in client.list_jobs(status="pendingSchedule")]
            return not moving

        await eventually_async(settled, "all jobs of the source wait", seconds=300, pause=0.3)


def _policies(administration: JobRouterAdministrationClient) -> Iterator[Awaitable[Any]]:
    for number in range(VOLUME.distribution):
        mode: models.DistributionMode = models.LongestIdleMode(min_concurrent_offers=1, max_concurrent_offers=2)
        if number % 2:
            rule = models.ExpressionRouterRule(expression="If(worker.level = 3, 5, 1)")
            options = models.ScoringRuleOptions(batch_size=10, descending_order=False)
            mode = models.BestWorkerMode(scoring_rule=rule, scoring_rule_options=options)
        yield administration.upsert_distribution_policy(
            f"distribute-{number}", name=f"Ümlaut {number}", offer_expires_after_seconds=33.5, mode=mode
        )
    for number in range(VOLUME.exception):
        action = models.ManualReclassifyExceptionAction(
            queue_id="queue-1",
            priority=9,
            worker_selectors=[models.RouterWorkerSelector(key="level", label_operator="greaterThan", value=2)],
        )
        rules = [
            models.ExceptionRule(
                id="late", trigger=models.WaitTimeExceptionTrigger(threshold_seconds=86400.0), actions=[action]
            ),
            models.ExceptionRule(
                id="long",
                trigger=models.QueueLengthExceptionTrigger(threshold=100_000),
                actions=[models.CancelExceptionAction(note="too many", disposition_code="full")],
            ),
        ]
        yield administration.upsert_exception_policy(f"except-{number}", name="Exceptions", exception_rules=rules)


def _classification(administration: JobRouterAdministrationClient) -> Iterator[Awaitable[Any]]:
    for number in range(VOLUME.classification):
        rule: models.RouterRule = models.ExpressionRouterRule(expression="If(job.vip = true, 7, 3)")
        if number == 0:
            rule = models.FunctionRouterRule(
                function_uri="https://functions.example/api/priority",
                credential=models.FunctionRouterRuleCredential(function_key=SECRET),
            )
        yield administration.upsert_classification_policy(
            f"classify-{number}",
            name=f"Classify {number}",
            fallback_queue_id="queue-2",
            prioritization_rule=rule,
            queue_selector_attachments=[
                models.PassThroughQueueSelectorAttachment(key="number", label_operator="equal")
            ],
            worker_selector_attachments=[
                models.PassThroughWorkerSelectorAttachment(key="language", label_operator="equal"),
                models.StaticWorkerSelectorAttachment(
                    worker_selector=models.RouterWorkerSelector(
                        key="level", label_operator="greaterThanOrEqual", value=1, expires_after_seconds=3600.0
                    )
                ),
            ],
        )


def _workers(client: JobRouterClient) -> Iterator[Awaitable[Any]]:
    for number in range(VOLUME.workers):
        yield client.upsert_worker(
            f"worker-{number}",
            capacity=10 + number % 5,
            queues=[f"queue-{(number + step) % VOLUME.queues}" for step in range(3)],
            labels={"language": "de" if number % 2 else "fr", "level": number % 5, "remote": number % 3 == 0, **ODD},
            tags={"shift": "early", **ODD},
            # Nobody serves the channel in which the jobs wait.
            channels=[models.RouterChannel(channel_id="mail", capacity_cost_per_job=2, max_number_of_jobs=3)],
            available_for_offers=number % 10 == 0,
        )


def _jobs(client: JobRouterClient) -> Iterator[Awaitable[Any]]:
    now = datetime.now(UTC)
    for number in range(VOLUME.jobs):
        fields: dict[str, Any] = {
            "channel_id": "chat",
            "channel_reference": f"conversation {number}",
            "labels": {"language": "fr", "number": number % VOLUME.queues, "vip": number % 7 == 0, **ODD},
            "tags": {"number": number, "ratio": 0.5, "known": True},
            "notes": [models.RouterJobNote(message=f"Nøte {number}", added_at=now - timedelta(minutes=number))],
        }
        if number % 4 == 1:
            policies = max(VOLUME.classification - 1, 1)
            fields["classification_policy_id"] = f"classify-{1 + number % policies}"
        else:
            fields["queue_id"] = "queue-0" if number % 4 == 0 else f"queue-{number % VOLUME.queues}"
            fields["priority"] = number % 3
            fields["requested_worker_selectors"] = [
                models.RouterWorkerSelector(
                    key="level",
                    label_operator="lessThan",
                    value=4,
                    expedite=number % 16 == 0,
                    expires_after_seconds=7200.0,
                )
            ]
        if number % 25 == 3:
            fields["matching_mode"] = models.SuspendMode()
        if number % 25 == 7:
            fields["matching_mode"] = models.ScheduleAndSuspendMode(schedule_at=now + timedelta(days=2))
        yield client.upsert_job(f"job-{number}", **fields)


async def _assign_one(client: JobRouterClient) -> None:
    """One job that is being served already: it stays on the source."""
    await client.upsert_job("served", channel_id="mail", queue_id="queue-0")

    async def offered() -> Any:
        async for worker in client.list_workers(queue_id="queue-0"):
            if worker.offers:
                return worker
        return None

    worker = await eventually_async(offered, "somebody is offered the job", seconds=60)
    await client.accept_job_offer(worker.id, worker.offers[0].offer_id)

    async def free() -> bool:
        return not [1 async for one in client.list_workers() if one.offers]

    await eventually_async(free, "its other offers are gone")


async def _all(calls: Iterable[Awaitable[Any]]) -> None:
    waiting = iter(calls)

    async def work() -> None:
        for call in waiting:
            await call

    await asyncio.gather(*(work() for _ in range(16)))


async def _kill_when(pair: Pair, condition: Callable[[], Awaitable[bool]]) -> None:
    """Starts the move and kills it (-9) as soon as the condition holds."""
    process = await asyncio.create_subprocess_exec(
        *pair.command(), cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        while not await condition():
            assert process.returncode is None, "the move ended before it was to be killed"
            await asyncio.sleep(2 if FULL else 0.02)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _at_least(router: LocalRouter, count: int) -> bool:
    async with _client(router) as client:
        found = 0
        async for _ in client.list_jobs(results_per_page=1000):
            found += 1
        return found >= count


async def _moved(state: Path, count: int) -> bool:
    return _lines(state) >= count


def _lines(state: Path) -> int:
    return state.read_text().count('"job"') if state.exists() else 0


async def _read(router: LocalRouter) -> dict[str, dict[str, Any]]:
    """Everything, through the official client, as it tells it."""

    async def read(items: AsyncIterator[Any]) -> dict[str, Any]:
        return {item.id: _plain_value(item.as_dict()) async for item in items}

    async with _administration(router) as administration, _client(router) as client:
        return {
            "distribution": await read(administration.list_distribution_policies()),
            "exception": await read(administration.list_exception_policies()),
            "classification": await read(administration.list_classification_policies()),
            "queues": await read(administration.list_queues()),
            "workers": await read(client.list_workers(state="all")),
            "jobs": await read(client.list_jobs(status="all", results_per_page=1000)),
        }


def _plain_value(value: Any) -> Any:
    """The models that the client leaves in its dictionaries as dictionaries too."""
    if isinstance(value, Mapping):
        return {name: _plain_value(item) for name, item in value.items()}
    return [_plain_value(item) for item in value] if isinstance(value, list) else value


def _assert_same(here: dict[str, dict[str, Any]], there: dict[str, dict[str, Any]]) -> None:
    """Compared by hand, apart from the command's own comparison."""
    for kind, left in (
        ("distribution", {"etag"}),
        ("exception", {"etag"}),
        ("classification", {"etag"}),
        ("queues", {"etag"}),
        ("workers", {"etag", "state", "availableForOffers", "assignedJobs", "loadRatio"}),
        ("jobs", {"etag", "enqueuedAt", "requestedWorkerSelectors", "attachedWorkerSelectors"}),
    ):
        mine = {id: item for id, item in here[kind].items() if id != "served"}
        assert mine.keys() == there[kind].keys()
        for id, item in mine.items():
            assert _without(item, left) == _without(there[kind][id], left), f"{kind} {id}"
    for id, job in here["jobs"].items():
        if id != "served":
            assert _selectors(job) == _selectors(there["jobs"][id]), id


def _selectors(job: dict[str, Any]) -> list[tuple[Any, ...]]:
    both = [*(job.get("requestedWorkerSelectors") or []), *(job.get("attachedWorkerSelectors") or [])]
    return sorted(
        (one["key"], one["labelOperator"], repr(one["value"]), one.get("expiresAfterSeconds"), one.get("expedite"))
        for one in both
    )


def _without(item: Any, left: set[str]) -> Any:
    copied = deepcopy({name: value for name, value in item.items() if name not in left})
    for rule in copied.get("exceptionRules", []):
        for action in rule["actions"]:
            action.pop("id", None)
    return copied
