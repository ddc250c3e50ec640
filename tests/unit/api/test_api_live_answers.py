"""What of the picture is answered, and how: what has changed, one queue, pages, packed (docs/behaviour.md, "Live")."""

from __future__ import annotations

import asyncio
import gzip
from datetime import timedelta
from typing import Any

import pytest

from router.models.sizes import LARGEST_PAGE
from router.models.types import format_time
from tests.memory_router import in_virtual_time
from tests.unit.api.api_caller import Answer, Caller
from tests.unit.api.live_floor import a_day, named, seen, soon


@in_virtual_time
async def test_what_is_known_is_not_sent_again() -> None:
    call = Caller()
    await a_day(call)
    answer = await call("GetLive")
    etag = answer.headers["ETag"]
    assert etag.startswith('W/"')
    await asyncio.sleep(10)
    same = await call("GetLive", headers={"if-none-match": etag})
    assert (same.status, same.headers["ETag"], same.raw) == (304, etag, b"")
    later = await seen(call)
    assert later["totals"]["oldestWaitSeconds"] > answer.body["totals"]["oldestWaitSeconds"]
    await call.job("another", channelId="chat")
    await soon()
    assert (await call("GetLive", headers={"if-none-match": etag})).status == 200
    assert (await call("GetLive", headers={"if-none-match": etag}, queueId="none")).status == 200


@in_virtual_time
async def test_since_leaves_out_what_has_not_changed_and_names_it() -> None:
    call = Caller()
    await a_day(call)
    await call("UpsertQueue", "r", body={"distributionPolicyId": "q"})
    await call.job("elsewhere", queueId="r", channelId="chat")
    await soon()
    whole = await call("GetLive")
    assert "unchanged" not in whole.body
    await asyncio.sleep(10)
    at = (await seen(call))["at"]
    await asyncio.sleep(3)
    await call("UpsertWorker", "v", body={"tags": {"new": True}})
    await call("CancelJob", "elsewhere")
    await call("DeleteWorker", "away")
    await soon()
    part = await call("GetLive", since=at)
    body = part.body
    assert list(named(body["workers"])) == ["v"]
    assert body["unchanged"] == {"workers": ["w"], "queues": ["q"]}
    assert body["jobs"] == []
    assert {one["id"]: one["waiting"] for one in body["queues"]} == {"q": 3, "r": 0}
    full = await call("GetLive")
    assert part.headers["ETag"] == full.headers["ETag"] != whole.headers["ETag"]
    ahead = format_time(call.parts.clock.now() + timedelta(days=1))
    assert len((await seen(call, since=ahead))["workers"]) == 2
    assert (await call("GetLive", since="yesterday")).status == 400
    for first in ("0001-01-01T00:00:00Z", "0001-01-01T00:00:01+14:00"):
        assert len((await seen(call, since=first))["workers"]) == 2


@in_virtual_time
async def test_a_process_that_has_just_started_leaves_nothing_out() -> None:
    """It does not know what has changed before it looked."""
    call = Caller()
    await a_day(call)
    at = format_time(call.parts.clock.now())
    await asyncio.sleep(1)
    body = await seen(call, since=at)
    assert body["unchanged"] == {"workers": [], "queues": []}
    assert (len(body["workers"]), len(body["jobs"])) == (3, 3)


@in_virtual_time
async def test_one_queue() -> None:
    call = Caller()
    await a_day(call)
    await call("UpsertQueue", "r", body={"distributionPolicyId": "q"})
    await call.worker("both", queues=["q", "r"])
    await soon()
    body = await seen(call, queueId="r")
    assert (list(named(body["queues"])), list(named(body["workers"])), body["jobs"]) == (["r"], ["both"], [])
    assert body["totals"]["waiting"] == 0
    body = await seen(call, queueId="nobody's")
    assert (body["queues"], body["workers"], body["jobs"]) == ([], [], [])


async def everything(call: Caller, **query: Any) -> tuple[list[Any], list[Answer]]:
    pages = await call.pages("GetLive", **query)
    return [page.body for page in pages], pages


@in_virtual_time
async def test_many_workers_and_jobs_are_paged(monkeypatch: pytest.MonkeyPatch) -> None:
    call = Caller()
    await call.settings()
    monkeypatch.setattr("router.engine.live_view.MOST_WORKERS", 5)
    monkeypatch.setattr("router.engine.live_view.MOST_JOBS", 8)
    monkeypatch.setattr("router.engine.live_view._BLOCK", 3)
    await call("UpsertQueue", "r", body={"distributionPolicyId": "q"})
    await call("UpsertQueue", "s", body={"distributionPolicyId": "q"})
    for number in range(12):
        await call.worker(f"w{number}", channels=[])
    lines = {"q": 13, "r": 2, "s": 4}
    for queue, length in lines.items():
        for number in range(length):
            await call.job(f"{queue}{number}", queueId=queue)
    await soon()
    pages, _ = await everything(call)
    assert all(len(page["workers"]) <= 5 and len(page["jobs"]) <= 8 for page in pages)
    assert sorted(one["id"] for page in pages for one in page["workers"]) == sorted(f"w{n}" for n in range(12))
    jobs = [one for page in pages for one in page["jobs"]]
    assert len(jobs) == len({job["id"] for job in jobs}) == 19
    for queue, length in lines.items():
        assert [job["position"] for job in jobs if job["queueId"] == queue] == list(range(1, length + 1))
    assert {job["queueId"] for job in pages[0]["jobs"]} == {"q", "r", "s"}
    assert {page["totals"]["waiting"] for page in pages} == {19}
    short, _ = await everything(call, queueId="r")
    assert [job["id"] for page in short for job in page["jobs"]] == ["r0", "r1"]
    forged = pages[0]["nextLink"][:-4] + "AAAA"
    assert (await call.follow("GetLive", forged)).status == 400


@in_virtual_time
async def test_it_is_packed_where_that_is_allowed() -> None:
    call = Caller()
    await call.settings()
    for number in range(40):
        await call.job(f"j{number}")
    await soon()
    plain = await call("GetLive")
    packed = await call("GetLive", headers={"accept-encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.raw) == plain.raw
    assert len(packed.raw) < len(plain.raw) / 4


@in_virtual_time
async def test_a_page_of_large_workers_ends_early_and_the_next_goes_on() -> None:
    call = Caller()
    await call.settings()
    labels = {f"k{number}": "x" * 1_500 for number in range(100)}
    for number in range(40):
        await call.worker(f"w{number}", labels=labels)
    await soon()
    pages = await call.pages("GetLive", since="2020-01-01T00:00:00Z")
    assert all(len(page.raw) < 1.1 * LARGEST_PAGE for page in pages)
    found = [one["id"] for page in pages for one in page.body["workers"]]
    assert sorted(found) == sorted(f"w{number}" for number in range(40))
    assert len(pages) > 1
