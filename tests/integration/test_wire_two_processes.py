"""Several app processes over one storage: what one writes, the others keep."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Iterator

import pytest

from tests.local_router import LocalRouter
from tests.raw_wire import RawWire

CLIENTS = 32
ROUNDS = 6


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRouter]:
    router = LocalRouter(tmp_path_factory.mktemp("two"), workers=2)
    try:
        yield router
    finally:
        router.end()


async def test_of_32_who_patch_one_etag_one_wins(router: LocalRouter) -> None:
    async with RawWire(router.port, router.key, connections=CLIENTS * 2) as wire:
        paths = {
            "Worker": await wire.make("Worker", {"capacity": 1}),
            "Queue": f"/routing/queues/{await wire.queue()}",
            "Job": await wire.job(await wire.queue(), matchingMode={"kind": "suspend"}),
        }
        for path in paths.values():
            etags: set[str] = set()
            for number in range(ROUNDS):
                etag = (await wire.get(path)).headers["ETag"]
                answers = await asyncio.gather(
                    *(
                        wire.patch(path, {"labels": {f"round-{number}": client}}, headers={"If-Match": etag})
                        for client in range(CLIENTS)
                    )
                )
                statuses = collections.Counter(answer.status for answer in answers)
                assert statuses == {200: 1, 412: CLIENTS - 1}
                winner = next(client for client, answer in enumerate(answers) if answer.status == 200)
                for answer in answers:
                    if answer.status == 412:
                        answer.refused(412, "ConditionNotMet")
                found = (await wire.get(path)).expect(200)
                assert found == answers[winner].body
                assert found["labels"][f"round-{number}"] == winner
                etags.add(etag)
            assert len(etags) == ROUNDS


async def test_no_update_is_lost_when_32_clients_count(router: LocalRouter) -> None:
    """Each client adds its number by read and conditional write, trying again after 412: all are there in the end."""
    async with RawWire(router.port, router.key, connections=CLIENTS * 2) as wire:
        path = await wire.make("Worker", {"capacity": 1, "tags": {"sum": 0}})
        winners: collections.Counter[str] = collections.Counter()

        async def add(number: int) -> None:
            while True:
                read = await wire.get(path)
                etag, total = read.headers["ETag"], read.expect(200)["tags"]["sum"]
                written = await wire.patch(path, {"tags": {"sum": total + number}}, headers={"If-Match": etag})
                if written.status == 200:
                    winners[etag] += 1
                    return
                written.refused(412, "ConditionNotMet")

        await asyncio.gather(*(add(number) for number in range(1, CLIENTS + 1)))
        assert (await wire.get(path)).expect(200)["tags"] == {"sum": CLIENTS * (CLIENTS + 1) // 2}
        assert len(winners) == CLIENTS
        assert set(winners.values()) == {1}


async def test_updates_without_a_condition_merge(router: LocalRouter) -> None:
    """Without If-Match a patch is merged into what is there: none takes another's key away."""
    async with RawWire(router.port, router.key, connections=CLIENTS) as wire:
        path = await wire.make("Worker", {"capacity": 1})

        async def put(number: int) -> None:
            for _ in range(50):
                answer = await wire.patch(path, {"tags": {str(number): number}})
                if answer.status != 503:
                    answer.expect(200)
                    return
                # Too many at once is said as such, and trying again is safe.
                assert answer.headers["Retry-After"]
                await asyncio.sleep(0.01 * number)

        await asyncio.gather(*(put(number) for number in range(CLIENTS)))
        assert (await wire.get(path)).expect(200)["tags"] == {str(number): number for number in range(CLIENTS)}


async def test_a_page_of_one_process_is_followed_at_another(router: LocalRouter) -> None:
    assert len(router.app_pids()) == 3, "two that serve, one for the timer"
    async with RawWire(router.port, router.key) as wire:
        queue = await wire.queue()
        made = {await wire.job(queue, matchingMode={"kind": "suspend"}) for _ in range(6)}
    seen: list[str] = []
    link: str | None = f"/routing/jobs?queueId={queue}&maxpagesize=1"
    while link is not None:
        # A connection of its own for each page: which process takes it is chance.
        async with RawWire(router.port, router.key) as wire:
            body = (await wire.get(link)).expect(200)
        seen += [f"/routing/jobs/{job['id']}" for job in body["value"]]
        link = body.get("nextLink")
    assert sorted(seen) == sorted(made)
