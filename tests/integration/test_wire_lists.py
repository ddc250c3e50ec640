"""Lists, pages and their tokens (docs/behaviour.md, "Lists")."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.raw_wire import CONTAINERS, PREVIEW, Answer, RawWire

LINK = re.compile(r"/routing/(\w+)\?continuationToken=([A-Za-z0-9_-]+)")


async def pages(wire: RawWire, path: str, **query: Any) -> AsyncIterator[list[dict[str, Any]]]:
    answer = await wire.get(path, query=query)
    while True:
        body = answer.expect(200)
        assert set(body) <= {"value", "nextLink"}
        yield body["value"]
        if "nextLink" not in body:
            return
        assert LINK.fullmatch(body["nextLink"]), body["nextLink"]
        answer = await wire.get(body["nextLink"])


async def ids(wire: RawWire, path: str, **query: Any) -> list[str]:
    return [item["id"] async for page in pages(wire, path, **query) for item in page]


async def suspended(wire: RawWire, queue: str, count: int, **fields: Any) -> list[str]:
    """Ids of jobs that rest where they are."""
    made = [wire.job(queue, matchingMode={"kind": "suspend"}, **fields) for _ in range(count)]
    return [path.rpartition("/")[2] for path in await asyncio.gather(*made)]


@pytest.mark.parametrize("size", [1, 3, 7, 8, 1000])
async def test_pages_are_never_longer_than_asked_and_miss_nothing(wire: RawWire, size: int) -> None:
    queue = await wire.queue()
    made = await suspended(wire, queue, 7)
    found = [page async for page in pages(wire, "/routing/jobs", queueId=queue, maxpagesize=size)]
    assert all(len(page) <= size for page in found)
    assert sorted(job["id"] for page in found for job in page) == sorted(made)


async def test_a_list_shows_what_a_get_shows(wire: RawWire) -> None:
    queue = await wire.queue()
    made = await suspended(wire, queue, 2)
    listed = {job["id"]: job async for page in pages(wire, "/routing/jobs", queueId=queue) for job in page}
    assert listed == {id: (await wire.get(f"/routing/jobs/{id}")).expect(200) for id in made}


@pytest.mark.parametrize("container", CONTAINERS.values())
async def test_every_list_pages(wire: RawWire, container: str) -> None:
    policy = await wire.policy()
    body = {
        "queues": {"distributionPolicyId": policy},
        "workers": {"capacity": 1},
        "distributionPolicies": {"mode": {"kind": "roundRobin"}},
    }.get(container, {})
    if container == "jobs":
        body = {"channelId": "v", "queueId": await wire.queue(), "matchingMode": {"kind": "suspend"}}
    made = {wire.id() for _ in range(3)}
    for id in made:
        (await wire.patch(f"/routing/{container}/{id}", body)).expect(201)
    sizes = [page async for page in pages(wire, f"/routing/{container}", maxpagesize=50)]
    seen = [item["id"] for page in sizes for item in page]
    assert made <= set(seen)
    assert len(seen) == len(set(seen))


async def test_the_last_page_has_no_link_and_an_empty_one_is_a_page(wire: RawWire) -> None:
    queue = await wire.queue()
    assert (await wire.get("/routing/jobs", query={"queueId": queue})).expect(200) == {"value": []}


@pytest.mark.parametrize("size", ["0", "-1", "1001", "1.5", "ten", "", "1e2", "99999999999999999999", "٣"])
async def test_a_page_size_out_of_range(wire: RawWire, size: str) -> None:
    error = (await wire.get("/routing/queues", query={"maxpagesize": size})).refused(400, "BadRequest")
    assert [detail["target"] for detail in error["details"]] == ["maxpagesize"]


async def test_the_default_page_has_a_hundred_items(wire: RawWire) -> None:
    queue = await wire.queue()
    await suspended(wire, queue, 101)
    found = [len(page) async for page in pages(wire, "/routing/jobs", queueId=queue)]
    assert sum(found) == 101
    assert len(found) > 1
    assert max(found) <= 100


async def test_items_that_come_and_go_neither_hide_others_nor_double_them(wire: RawWire) -> None:
    queue = await wire.queue()
    stay = await suspended(wire, queue, 12)
    going = await suspended(wire, queue, 6)
    seen: list[str] = []
    rounds = 0
    async for page in pages(wire, "/routing/jobs", queueId=queue, maxpagesize=2):
        seen += [job["id"] for job in page]
        if going:
            id = going.pop()
            (await wire.post(f"/routing/jobs/{id}:cancel")).expect(200)
            (await wire.delete(f"/routing/jobs/{id}")).expect(204)
        if rounds < 6:
            await suspended(wire, queue, 1)
            rounds += 1
    assert len(seen) == len(set(seen))
    assert set(stay) <= set(seen)


async def test_an_item_that_changes_while_paging_is_seen_once(wire: RawWire) -> None:
    queue = await wire.queue()
    made = await suspended(wire, queue, 8)
    seen: list[str] = []
    async for page in pages(wire, "/routing/jobs", queueId=queue, maxpagesize=3):
        seen += [job["id"] for job in page]
        await asyncio.gather(*(wire.patch(f"/routing/jobs/{id}", {"priority": len(seen)}) for id in made))
    assert sorted(seen) == sorted(made)


async def first_link(wire: RawWire) -> tuple[str, str]:
    """A queue with more than a page of jobs, and the link to its second page."""
    queue = await wire.queue()
    await suspended(wire, queue, 3)
    found = (await wire.get("/routing/jobs", query={"queueId": queue, "maxpagesize": 1})).expect(200)
    return queue, found["nextLink"]


async def test_size_and_filters_are_inside_the_token(wire: RawWire) -> None:
    queue, link = await first_link(wire)
    found = (await wire.get(link)).expect(200)
    assert [job["queueId"] for job in found["value"]] == [queue]
    # The client may send them again; the token decides.
    again = (await wire.get(link, query={"queueId": "another", "maxpagesize": 1000})).expect(200)
    assert again["value"] == found["value"]
    (await wire.get(link, version=PREVIEW)).expect(200)


async def test_a_token_that_was_changed_is_refused(wire: RawWire) -> None:
    _, link = await first_link(wire)
    token = link.partition("=")[2]
    swap = {"A": "B"}
    changed = [
        *(token[:at] + swap.get(token[at], "A") + token[at + 1 :] for at in range(0, len(token), 9)),
        token[:-1],
        token + "A",
        token + "=",
        token[:21],
        token[22:],
        token * 2,
        "",
        "A",
        "x" * 4000,
        "%C3%A9",
        "%00",
    ]
    answers = await asyncio.gather(*(wire.get(f"/routing/jobs?continuationToken={one}") for one in changed))
    assert len(answers) > 15
    for one, answer in zip(changed, answers, strict=True):
        error = answer.refused(400, "BadRequest")
        assert error["details"][0]["code"] == "InvalidContinuationToken", one


async def test_a_token_of_another_list_is_refused(wire: RawWire) -> None:
    _, link = await first_link(wire)
    token = link.partition("=")[2]
    answer: Answer = await wire.get(f"/routing/workers?continuationToken={token}")
    assert answer.refused(400, "BadRequest")["details"][0]["code"] == "InvalidContinuationToken"


@pytest.mark.parametrize("container", CONTAINERS.values())
async def test_lists_are_newest_first(wire: RawWire, container: str) -> None:
    queue, policy = await wire.queue(), await wire.policy()
    body = {
        "queues": {"distributionPolicyId": policy},
        "workers": {"capacity": 1, "queues": [queue]},
        "distributionPolicies": {"mode": {"kind": "roundRobin"}},
        "jobs": {"channelId": "v", "queueId": queue, "matchingMode": {"kind": "suspend"}},
    }.get(container, {})
    made = [f"{wire.id()}-{letter}" for letter in "bca"]
    for id in made:
        (await wire.patch(f"/routing/{container}/{id}", body)).expect(201)
    (
        await wire.patch(
            f"/routing/{container}/{made[0]}", {"tags" if container in ("jobs", "workers") else "name": None}
        )
    )
    query = {"queueId": queue} if container in ("jobs", "workers") else {}
    for size in (1, 2, 1000):
        found = [page async for page in pages(wire, f"/routing/{container}", maxpagesize=size, **query)]
        assert [item["id"] for page in found for item in page if item["id"] in made] == made[::-1]
        assert {len(page) for page in found[:-1]} <= {size}


async def test_a_filter_leaves_full_pages_and_an_empty_one_is_none(wire: RawWire) -> None:
    queue = await wire.queue()
    made = await suspended(wire, queue, 9)
    for id in made[::2]:
        (await wire.post(f"/routing/jobs/{id}:cancel")).expect(200)
    query = {
        "queueId": queue,
        "status": "waiting-for-activation",
        "channelId": "",
        "scheduledAfter": "",
        "maxpagesize": 3,
    }
    sizes = [len(page) async for page in pages(wire, "/routing/jobs", **query)]
    assert sizes == [3, 1]


async def test_filters_of_jobs(wire: RawWire) -> None:
    queue, other = await wire.queue(), await wire.queue()
    channel = wire.id("channel")
    policy = (await wire.make("ClassificationPolicy", {"fallbackQueueId": queue})).rpartition("/")[2]
    [suspended_job] = await suspended(wire, queue, 1, channelId=channel)
    [elsewhere] = await suspended(wire, other, 1, channelId=channel)
    [classified] = await suspended(wire, queue, 1, channelId=channel, classificationPolicyId=policy)
    [cancelled] = await suspended(wire, queue, 1, channelId=channel)
    (await wire.post(f"/routing/jobs/{cancelled}:cancel")).expect(200)
    at = "2099-05-05T10:00:00Z"
    scheduled = (
        await wire.job(queue, channelId=channel, matchingMode={"kind": "scheduleAndSuspend", "scheduleAt": at})
    ).rpartition("/")[2]

    async def found(**query: str) -> set[str]:
        names = {suspended_job: "s", elsewhere: "e", classified: "p", cancelled: "c", scheduled: "t"}
        return {names[id] for id in await ids(wire, "/routing/jobs", channelId=channel, **query)}

    assert await found() == await found(status="all") == await found(status="ALL") == set("sepct")
    assert await found(status="active") == await found(status="Active") == set("sept")
    assert await found(status="cancelled") == await found(status="CANCELLED") == {"c"}
    assert await found(queueId=other) == {"e"}
    assert await found(classificationPolicyId=policy) == {"p"}
    assert await found(queueId=queue, status="cancelled") == {"c"}
    # Bounds are included; only what is scheduled has that time.
    assert await found(scheduledBefore=at) == await found(scheduledAfter=at) == {"t"}
    assert await found(scheduledBefore="2099-05-05T12:00:00+02:00", scheduledAfter="2099-05-05T10:00:00.0Z") == {"t"}
    assert await found(scheduledBefore="2099-05-05T09:59:59.999999Z") == set()
    assert await found(scheduledAfter="2099-05-05T10:00:00.000001Z") == set()


async def test_filters_of_workers(wire: RawWire) -> None:
    queue, channel = await wire.queue(), wire.id("channel")
    channels = [{"channelId": channel, "capacityCostPerJob": 1}]
    able = (await wire.worker(queue, channels=channels, availableForOffers=True)).rpartition("/")[2]
    idle = (await wire.worker(queue, channels=channels)).rpartition("/")[2]
    full = (
        await wire.worker(queue, channels=[{**channels[0], "capacityCostPerJob": 2}], availableForOffers=True)
    ).rpartition("/")[2]

    async def found(**query: str) -> set[str]:
        names = {able: "a", idle: "i", full: "f"}
        return {names[id] for id in await ids(wire, "/routing/workers", **query)}

    assert await found(channelId=channel) == await found(queueId=queue) == set("aif")
    assert await found(channelId=channel, state="active") == set("af")
    assert await found(channelId=channel, state="InActive", queueId=queue) == {"i"}
    assert await found(channelId=channel, state="all", queueId="another") == set()
    assert await found(channelId=channel, hasCapacity="false") == set("aif")
    assert await found(queueId=queue, channelId=channel, hasCapacity="True") == set("ai")
    assert await found(queueId=queue, hasCapacity="true") == set("ai")


@pytest.mark.parametrize(
    ("path", "query", "targets"),
    [
        ("jobs", {"status": "waiting"}, ["status"]),
        (
            "jobs",
            {"scheduledBefore": "soon", "scheduledAfter": "1", "maxpagesize": "x"},
            ["maxpagesize", "scheduledAfter", "scheduledBefore"],
        ),
        ("jobs", {"queueId": ".", "channelId": "x" * 257}, ["channelId", "queueId"]),
        ("jobs", {"queueId": "a\nb"}, ["queueId"]),
        ("jobs", {"scheduledBefore": "2099-05-05T10:00:00Z\n"}, ["scheduledBefore"]),
        ("workers", {"state": "idle"}, ["state"]),
        ("workers", {"hasCapacity": "1"}, ["hasCapacity"]),
    ],
)
async def test_every_bad_parameter_is_named(
    wire: RawWire, path: str, query: dict[str, str], targets: list[str]
) -> None:
    error = (await wire.get(f"/routing/{path}", query=query)).refused(400, "BadRequest")
    assert sorted(detail["target"] for detail in error["details"]) == targets


async def test_of_a_repeated_parameter_the_last_counts(wire: RawWire) -> None:
    queue = await wire.queue()
    await suspended(wire, queue, 2)
    query = f"maxpagesize=x&queueId=another&queueId={queue}&MaxPageSize=1"
    found = (await wire.get("/routing/jobs", query=query)).expect(200)
    assert len(found["value"]) <= 1
    assert await ids(wire, found["nextLink"])
    error = (await wire.get("/routing/jobs", query="maxpagesize=1&maxpagesize=0")).refused(400, "BadRequest")
    assert [detail["target"] for detail in error["details"]] == ["maxpagesize"]


async def test_parameters_that_no_list_knows_are_ignored(wire: RawWire) -> None:
    query = {"queueId": wire.id(), "$filter": "x", "top": "5", "": "y"}
    assert (await wire.get("/routing/jobs", query=query)).expect(200) == {"value": []}
