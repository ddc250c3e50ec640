"""Generated bad requests: each is refused as an error, none hangs, and nothing that is stored changes."""

from __future__ import annotations

import asyncio
import collections
import itertools
import os

import pytest

from tests.fuzz.bad_requests import BadRequest, BadRequests
from tests.fuzz.world import build, everything
from tests.local_router import LocalRouter
from tests.raw_wire import RawWire

#: `make fuzz` asks for 10,000, and for other seeds.
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "2500"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
AT_ONCE = 24
BATCH = 500


@pytest.mark.slow
@pytest.mark.timeout(60 + REQUESTS // 40)
async def test_bad_requests_are_refused_and_change_nothing(local_router: LocalRouter) -> None:
    async with RawWire(local_router.port, local_router.key, connections=AT_ONCE) as wire:
        world = await build(wire)
        before, ids = await world.read(wire), await everything(wire)
        assert len(before) >= 20
        seen: collections.Counter[tuple[str, int]] = collections.Counter()
        requests = itertools.islice(BadRequests(world, wire.run, SEED), REQUESTS)

        async def refuse(request: BadRequest) -> None:
            try:
                answer = await request.send(wire)
                assert 400 <= answer.status < 500, f"{answer.status} {answer.content[:500]!r}"
                assert answer.error
            except Exception as error:
                raise AssertionError(f"seed {SEED}: {request}") from error
            seen[request.what, answer.status] += 1

        async def take_turns(batch: list[BadRequest]) -> None:
            while batch:
                await refuse(batch.pop())

        while batch := list(itertools.islice(requests, BATCH)):
            sent = [request.what for request in batch]
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(take_turns(batch))
            assert await world.read(wire) == before, f"seed {SEED}: one of these was carried out: {set(sent)}"
        assert await everything(wire) == ids
        assert sum(seen.values()) == REQUESTS
        assert {status for _, status in seen} == {400, 401, 404, 405, 409, 412, 413, 415}
        print(f"\n{REQUESTS} bad requests, all refused: {dict(sorted(seen.items()))}")
