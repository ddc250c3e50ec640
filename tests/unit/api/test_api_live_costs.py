"""One picture for all who look: what it costs, and who waits for it (docs/behaviour.md, "Live")."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from router.engine import live as engine
from router.engine import live_view
from router.models.types import format_time
from router.storage.port import StorageUnavailable
from router.usecases.live import Live
from tests.memory_router import Call, in_virtual_time
from tests.unit.api.api_caller import Caller
from tests.unit.api.live_floor import a_day, seen, soon


@in_virtual_time
async def test_twenty_viewers_cost_the_reads_of_one() -> None:
    async def reads(viewers: int) -> tuple[int, int]:
        call = Caller()
        await a_day(call)
        await asyncio.sleep(60)
        counted = call.process.tables.calls
        before = len(counted)

        async def look(number: int) -> None:
            await asyncio.sleep(number * 0.1)
            for _ in range(15):
                assert (await call("GetLive")).status == 200
                await asyncio.sleep(2)

        await asyncio.gather(*(look(number) for number in range(viewers)))
        tables = [one.table for one in counted[before:] if one.kind in ("query", "get")]
        return len(tables), call.gate.live.made

    one, _ = await reads(1)
    twenty, made = await reads(20)
    assert made <= 34
    # One viewer asks each other second, twenty each second: a picture a second is what they cost.
    assert twenty <= 2 * one * 1.1 + 8


@in_virtual_time
async def test_a_second_has_one_picture_and_at_most_twelve_reads() -> None:
    call = Caller()
    await a_day(call)
    for number in range(30):
        await call("UpsertQueue", f"q{number}", body={"distributionPolicyId": "q"})
        await call.job(f"j{number}", queueId=f"q{number}")
    await asyncio.sleep(60)
    live = Live(call.parts)
    by_second: dict[int, int] = {}
    loop = asyncio.get_running_loop()

    async def count(one: Call) -> None:
        if one.kind in ("query", "get"):
            second = int(loop.time())
            by_second[second] = by_second.get(second, 0) + 1

    await asyncio.sleep(0.05)
    call.process.tables.before = count
    start = loop.time()
    pictures: set[int] = set()
    while loop.time() < start + 30:
        pictures.update(id(one) for one in await asyncio.gather(*(live.picture() for _ in range(20))))
        await asyncio.sleep(0.1)
    # The timer of the process reads beside it: that is not counted here.
    assert live.made <= 31
    assert live.reads <= 12 * live.made
    assert max(by_second.values()) <= 12


@in_virtual_time
async def test_who_asks_while_it_is_made_waits_for_it() -> None:
    call = Caller()
    await a_day(call)
    live = Live(call.parts)

    async def slow(one: Call) -> None:
        if one.kind == "query":
            await asyncio.sleep(3)

    call.process.tables.before = slow
    first = asyncio.create_task(live.picture())
    await asyncio.sleep(1)
    others = [asyncio.create_task(live.picture()) for _ in range(5)]
    first.cancel()  # who began it has gone
    found = await asyncio.gather(*others)
    assert live.made == 1
    assert all(one is found[0] for one in found)


@in_virtual_time
async def test_storage_that_does_not_answer_is_not_asked_by_everybody() -> None:
    call = Caller()
    await a_day(call)
    await soon()
    asked = 0

    async def down(one: Call) -> None:
        nonlocal asked
        asked += one.table == "backlog" and one.kind == "query"
        if one.kind == "query":
            raise StorageUnavailable("down")

    call.process.tables.before = down
    answers = [await call("GetLive") for _ in range(5)]
    assert {answer.status for answer in answers} == {503}
    assert asked == 1
    call.process.tables.before = None
    await soon()
    assert len((await seen(call))["jobs"]) == 3


@in_virtual_time
async def test_what_is_known_is_answered_without_making_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Counter[str] = Counter()

    def counted(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **options: Any) -> Any:
            made[name] += 1
            return make(*args, **options)

        return counting

    for module, name in ((engine, "picture"), (live_view, "view")):
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    call = Caller()
    await a_day(call)
    await asyncio.sleep(60)  # every rate has been read, and is good for a while
    etag = (await call("GetLive")).headers["ETag"]
    await soon()
    etag = (await call("GetLive")).headers["ETag"]
    made.clear()
    for _ in range(10):
        await soon()
        assert (await call("GetLive", headers={"if-none-match": etag})).status == 304
    assert made == {}
    at = format_time(call.parts.clock.now() - timedelta(seconds=2))
    assert (await call("GetLive", headers={"if-none-match": etag}, since=at)).status == 304
    assert made == {}
    await call.job("another", channelId="chat")
    await soon()
    assert (await call("GetLive", headers={"if-none-match": etag})).status == 200
    assert made == {"picture": 1, "view": 1}


@in_virtual_time
async def test_those_who_have_looked_at_about_the_same_time_share_an_answer() -> None:
    call = Caller()
    await a_day(call)
    await seen(call)
    await asyncio.sleep(10)
    start = (call.parts.clock.now() - timedelta(seconds=4)).replace(microsecond=0)
    start -= timedelta(seconds=start.second % 2)
    looked = [
        await call.gate.live.answer(queue_id=None, own=None, since=start + timedelta(seconds=part), after=None)
        for part in (0, 0.7, 1.9, 2)
    ]
    assert looked[0] is looked[1] is looked[2] is not looked[3]


@in_virtual_time
async def test_an_answer_is_packed_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for those who ask while it is being packed."""
    packed = 0
    pack = gzip.compress

    def counted(*args: Any, **options: Any) -> bytes:
        nonlocal packed
        packed += 1
        return pack(*args, **options)

    monkeypatch.setattr(gzip, "compress", counted)
    call = Caller()
    await call.settings()
    for number in range(40):
        await call.job(f"j{number}")
    await soon()
    asked = [call("GetLive", headers={"accept-encoding": "gzip"}) for _ in range(5)]
    answers = [*await asyncio.gather(*asked), await call("GetLive", headers={"accept-encoding": "gzip"})]
    assert packed == 1
    assert len({id(one.raw) for one in answers}) == 1
    assert (await call("GetLive")).raw == gzip.decompress(answers[0].raw)
