"""Moving a router's work to another with `python -m router.migrate`: complete, in order, resumed after kill -9, and
without effect when run again. `ROUTER_MIGRATE_FULL=1` moves 20 policies, 50 queues, 1,000 workers and 5,000 jobs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.options import ROOT
from tests.acceptance.migrate_content import assert_same, read_all, without
from tests.acceptance.migrate_pair import (
    PLACE,
    SECRET,
    VOLUME,
    Pair,
    administration_of,
    at_least,
    client_of,
    connection_string,
    kill_when,
    moved_jobs,
    moved_so_far,
)
from tests.acceptance.migrate_source import fill
from tests.conftest import StartRouter
from tests.local_router import LocalRouter

pytestmark = [pytest.mark.ours, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRouter]:
    """A router at work. Nothing here writes to it."""
    router = LocalRouter(tmp_path_factory.mktemp("source"))
    try:
        asyncio.run(fill(router))
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
    there = asyncio.run(read_all(pair.target))
    assert not any(there.values())
    assert not pair.state.exists()


def test_secrets_that_cannot_be_read_are_listed_and_keys_never_shown(pair: Pair, tmp_path: Path) -> None:
    nothing = tmp_path / "none.json"
    nothing.write_text("{}")
    planned = subprocess.run(
        [*pair.command("--dry-run"), "--secrets", str(nothing)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert PLACE in planned.stdout
    checked = pair.migrate("--check")
    told = planned.stdout + planned.stderr + checked.stdout + checked.stderr
    for secret in (SECRET, pair.source.key, pair.target.key):
        assert secret not in told


def test_resumed_after_two_kills_it_is_complete_equal_and_then_changes_nothing(pair: Pair) -> None:
    before = asyncio.run(read_all(pair.source))
    began = time.monotonic()
    asyncio.run(kill_when(pair, lambda: at_least(pair.target, VOLUME.jobs // 2)))
    written = asyncio.run(read_all(pair.target))
    assert VOLUME.jobs // 2 <= len(written["jobs"]) < VOLUME.jobs
    assert pair.migrate("--check").returncode == 1

    asyncio.run(kill_when(pair, lambda: moved_so_far(pair.state, VOLUME.jobs // 2)))
    assert moved_jobs(pair.state) < VOLUME.jobs
    last = pair.migrate()
    print(f"three runs took {time.monotonic() - began:.1f} s\n{last.stdout}{last.stderr}")
    assert last.returncode == 0, last.stdout + last.stderr

    checked = pair.migrate("--check")
    assert "Both sides are equal." in checked.stdout, checked.stdout
    assert checked.returncode == 0

    here, there = asyncio.run(read_all(pair.source)), asyncio.run(read_all(pair.target))
    assert here == before, "the source was only read"
    assert_same(here, there)

    again = pair.migrate()
    assert again.returncode == 0
    assert "Queued: 0. Made available: 0 workers." in again.stdout
    # The policy whose secret is supplied is written once more, which changes nothing.
    assert "Written: 1 classification policies." in again.stdout
    assert asyncio.run(read_all(pair.target)) == there


def test_jobs_wait_in_the_same_order(moved: Pair) -> None:
    async def places(router: LocalRouter) -> dict[str, int]:
        async with client_of(router) as client:
            waiting = [job.id async for job in client.list_jobs(queue_id="queue-0", status="queued")]
            some = waiting[:: len(waiting) // 30 + 1]
            found = await asyncio.gather(*(client.get_queue_position(id) for id in some))
            return {place.job_id: place.position for place in found}

    assert asyncio.run(places(moved.source)) == asyncio.run(places(moved.target))


def test_a_secret_that_was_moved_is_kept_and_not_shown(moved: Pair) -> None:
    async def policy() -> Any:
        async with administration_of(moved.target) as client:
            return (await client.get_classification_policy("classify-0")).as_dict()

    shown = asyncio.run(policy())["prioritizationRule"]["credential"]
    assert shown == {"functionKey": "********"}


def test_what_was_changed_over_there_is_left_unless_told_otherwise(moved: Pair) -> None:
    async def rename(name: str) -> None:
        async with administration_of(moved.target) as client:
            await client.upsert_queue("queue-1", name=name, labels={"functionKey": "b", "kind": "x2", "priority": 1})

    async def name() -> str | None:
        async with administration_of(moved.target) as client:
            return (await client.get_queue("queue-1")).name

    before = asyncio.run(read_all(moved.target))["queues"]["queue-1"]
    asyncio.run(rename("Renamed here"))
    left = moved.migrate()
    assert left.returncode == 1
    assert "Queue queue-1" in left.stdout
    assert asyncio.run(name()) == "Renamed here"
    checked = moved.migrate("--check")
    assert checked.returncode == 1
    assert "Queue queue-1 differs at labels.functionKey, labels.kind, labels.priority, name" in checked.stdout
    assert moved.migrate("--overwrite").returncode == 0
    assert without(asyncio.run(read_all(moved.target))["queues"]["queue-1"], {"etag"}) == without(before, {"etag"})
    assert moved.migrate("--check").returncode == 0


def test_workers_become_available_only_when_told_and_a_job_served_there_does_not_come_back(pair: Pair) -> None:
    async def available() -> int:
        async with client_of(pair.target) as client:
            return len([1 async for worker in client.list_workers(state="active") if worker.available_for_offers])

    first = pair.migrate()
    assert first.returncode == 0, first.stdout + first.stderr
    assert asyncio.run(available()) == 0
    activated = pair.migrate("--activate")
    assert activated.returncode == 0, activated.stdout + activated.stderr
    ready = sum(1 for number in range(VOLUME.workers) if number % 10 == 0)
    assert asyncio.run(available()) == ready

    async def end_one_and_send_one_home() -> None:
        async with client_of(pair.target) as client:
            await client.cancel_job("job-2")
            await client.delete_job("job-2")
            await client.upsert_worker("worker-0", available_for_offers=False)

    asyncio.run(end_one_and_send_one_home())
    again = pair.migrate("--activate")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "job-2" not in asyncio.run(read_all(pair.target))["jobs"]
    assert asyncio.run(available()) == ready - 1
    assert "moved and gone on since: 1" in pair.migrate("--check").stdout


def test_one_router_under_two_names_is_refused(moved: Pair) -> None:
    target = connection_string(moved.target)
    other = target.replace("localhost", "127.0.0.1")
    assert other != target
    command = [*moved.command("--check"), "--from", other, "--state", str(moved.state.with_name("other.jsonl"))]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 2, refused.stdout
    assert "one router under two names" in refused.stderr


def test_a_wrong_key_is_said_and_not_shown(moved: Pair) -> None:
    wrong = connection_string(moved.target)[:-6] + "AAAAA="
    command = [
        sys.executable,
        "-m",
        "router.migrate",
        "--from",
        wrong,
        "--to",
        connection_string(moved.source),
        "--dry-run",
    ]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert refused.returncode == 2
    assert "does not accept the access key" in refused.stderr
    assert wrong.rpartition("=")[0] not in refused.stderr
