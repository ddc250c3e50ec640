"""One picture for all who look (docs/behaviour.md, "Live")."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from router.api.auth.authenticate import Authenticator
from router.api.auth.hmac import AccessKeys
from router.engine import live as engine
from router.engine import live_view
from router.engine.facts import Thresholds
from router.engine.ownership import Own
from router.models.rights import Right
from router.models.types import format_time, parse_time
from router.storage.port import StorageUnavailable
from router.upkeep.facts import FactCounter
from router.usecases.live import Live
from tests.memory_router import Call, in_virtual_time
from tests.unit.api.api_caller import Answer, Caller
from tests.unit.auth.signed_wire import KEY
from tests.unit.auth.test_auth_rights import ME, Tokens, role

NOBODY_TOOK_ANY = "Workers who could take the job have lately taken no jobs that had waited."


async def seen(call: Caller, **query: Any) -> Any:
    answer = await call("GetLive", **query)
    assert answer.status == 200
    return answer.body


async def soon() -> None:
    """The next picture is a new one, with all that has settled."""
    await asyncio.sleep(2)


def named(items: list[Any]) -> dict[str, Any]:
    return {one["id"]: one for one in items}


async def a_day(call: Caller) -> dict[str, str]:
    """Queue `q`: `holds` is assigned, `offered` on offer, `first` and `last` wait. The assignment and the offer."""
    await call.settings()
    await call.worker("w", labels={"language": "fr"}, tags={"team": "a"})
    await call.job("holds")
    await asyncio.sleep(0.5)
    (offer,) = (await call("GetWorker", "w")).body["offers"]
    assignment = (await call("AcceptJobOffer", "w", offer["offerId"])).body["assignmentId"]
    await call.worker("v", capacity=2)
    await call.job("offered")
    await asyncio.sleep(0.5)
    await call.worker("away", availableForOffers=False)
    language = {"key": "language", "labelOperator": "equal", "value": "fr"}
    level = {"key": "level", "labelOperator": "greaterThanOrEqual", "value": 5}
    await call.job("last", requestedWorkerSelectors=[language, level])
    await asyncio.sleep(0.5)
    await call.job("first", requestedWorkerSelectors=[language], priority=5, channelId="chat")
    await soon()
    (offer,) = (await call("GetWorker", "v")).body["offers"]
    return {"assignment": assignment, "offer": offer["offerId"]}


@in_virtual_time
async def test_queues_workers_and_jobs() -> None:
    call = Caller()
    ids = await a_day(call)
    body = await seen(call)
    waits = {name: (await call("GetJob", name)).body for name in ("first", "last", "offered")}
    oldest = waits["offered"]["enqueuedAt"].replace("+00:00", "Z")
    assert body["totals"] == {
        "waiting": 3,
        "offered": 1,
        "assigned": 1,
        "workersAvailable": 1,
        "workersBusy": 2,
        "oldestWaitSeconds": int((parse_time(body["at"]) - parse_time(oldest)).total_seconds()),
    }
    assert body["queues"] == [
        {
            "id": "q",
            "name": None,
            "waiting": 3,
            "waitingByPriority": [{"priority": 5, "count": 1}, {"priority": 1, "count": 2}],
            "oldestEnqueuedAt": oldest,
            "offered": 1,
            "assigned": 1,
            "workersAvailable": 1,
            "workersBusy": 2,
            "estimatedWaitUnknown": dict.fromkeys(("1", "5"), NOBODY_TOOK_ANY),
        }
    ]
    assert [(job["id"], job["queueId"], job["position"], job["priority"]) for job in body["jobs"]] == [
        ("first", "q", 1, 5),
        ("offered", "q", 2, 1),
        ("last", "q", 3, 1),
    ]
    assert [job["selectors"] for job in body["jobs"]] == [
        ["language is fr"],
        [],
        ["language is fr", "level is at least 5"],
    ]
    assert body["jobs"][0]["channelId"] == "chat"
    for job in body["jobs"]:
        assert parse_time(job["enqueuedAt"]) == parse_time(waits[job["id"]]["enqueuedAt"])
        position = (await call("GetInQueuePosition", job["id"])).body
        assert (job["position"], job["estimatedWaitMinutes"]) == (
            position["position"],
            position["estimatedWaitTimeMinutes"],
        )
    workers = named(body["workers"])
    assert sorted(workers) == ["away", "v", "w"]
    for id, shown in workers.items():
        told = (await call("GetWorker", id)).body
        assert {name: shown[name] for name in ("state", "capacity", "queues", "channels", "tags")} == {
            name: told[name] for name in ("state", "capacity", "queues", "channels", "tags")
        }
        assert (shown["loadRatio"], shown["availableForOffers"]) == (told["loadRatio"], told["availableForOffers"])
        assert {**shown["labels"], "Id": id} == told["labels"]
    assert [one["offerId"] for one in workers["v"]["offers"]] == [ids["offer"]]
    assert workers["v"]["offers"][0]["jobId"] == "offered"
    (held,) = workers["w"]["assignments"]
    assert (held["assignmentId"], held["jobId"]) == (ids["assignment"], "holds")
    assert {id: one["takesMore"] for id, one in workers.items()} == {"away": False, "v": True, "w": False}
    assert "nextLink" not in body


@in_virtual_time
async def test_a_worker_tells_since_when_it_is_in_its_state() -> None:
    call = Caller()
    await call.settings()
    times = []
    for state, available in (("inactive", False), ("active", True), ("inactive", False)):
        await asyncio.sleep(100)
        now = call.parts.clock.now()
        await call.worker("w", availableForOffers=available)
        await asyncio.sleep(50)
        await call("UpsertWorker", "w", body={"tags": {"changed": state}})
        await soon()
        (worker,) = (await seen(call))["workers"]
        assert worker["state"] == state
        times.append(abs((parse_time(worker["stateSince"]) - now).total_seconds()))
    assert max(times) < 1


@in_virtual_time
async def test_what_is_over_is_counted_no_more() -> None:
    call = Caller()
    ids = await a_day(call)
    await call("CompleteJob", "holds", ids["assignment"])
    await call("CloseJob", "holds", ids["assignment"])
    await call("DeclineJobOffer", "v", ids["offer"])
    for job in ("first", "last"):
        await call("CancelJob", job)
    await call("DeleteWorker", "away")
    await soon()
    await soon()
    body = await seen(call)
    (queue,) = body["queues"]
    assert (queue["assigned"], sorted(named(body["workers"]))) == (0, ["v", "w"])
    assert [job["id"] for job in body["jobs"]] == ["offered"]
    assert (await call.process.read_worker("w")).routing.assignment_queues == {}


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


async def served(call: Caller, *queues: str) -> None:
    """In each of the queues one was served, in time unless its label says otherwise, and one has given up."""
    for queue in queues:
        await call.job(f"gives-up-{queue}", queueId=queue)
        await asyncio.sleep(1)
        await call("CancelJob", f"gives-up-{queue}")
        await call.worker(f"w-{queue}", queues=[queue])
        await call.job(f"served-{queue}", queueId=queue)
        await asyncio.sleep(0.5)
        (offer,) = (await call("GetWorker", f"w-{queue}")).body["offers"]
        await call("AcceptJobOffer", f"w-{queue}", offer["offerId"])
    await asyncio.sleep(17)
    await FactCounter(call.parts).count(call.parts.clock.now())


@in_virtual_time
async def test_service_levels_cost_one_read_in_a_quarter_of_a_minute_however_many_queues() -> None:
    call = Caller()
    await call.settings()
    queues = [f"q{number}" for number in range(12)]
    for queue in queues:
        await call("UpsertQueue", queue, body={"distributionPolicyId": "q"})
    await call("UpsertQueue", "q0", body={"labels": {"serviceLevelSeconds": 0}})
    await served(call, *queues)
    live = Live(call.parts)
    before = call.process.tables.count("query", "facts"), call.process.tables.count("get", "facts")
    for _ in range(40):
        await live.picture()
        await asyncio.sleep(1)
    after = call.process.tables.count("query", "facts"), call.process.tables.count("get", "facts")
    assert (after[0] - before[0], after[1] - before[1]) == (3, 0)
    levels = {one["id"]: one.get("serviceLevel") for one in (await live.picture()).queues}
    assert levels.pop("q") is None  # nobody was served, nobody gave up
    assert levels.pop("q0") == {"percent": 0.0, "thresholdSeconds": 0.0, "windowMinutes": 15}
    assert sorted(levels) == sorted(queues[1:])
    for level in levels.values():
        assert level == {"percent": 50.0, "thresholdSeconds": 20.0, "windowMinutes": 15}
    # It is of the last minutes alone.
    await asyncio.sleep(17 * 60)
    assert not any("serviceLevel" in one for one in (await live.picture()).queues)


@in_virtual_time
async def test_without_a_history_there_are_no_service_levels_and_nothing_is_read_for_them() -> None:
    call = Caller()
    await call.settings()
    await served(call, "q")
    call.parts.chronicle._days = 0
    before = call.process.tables.count("query", "facts")
    (queue,) = (await Live(call.parts).picture()).queues
    assert "serviceLevel" not in queue
    assert call.process.tables.count("query", "facts") == before


@in_virtual_time
async def test_service_levels_at_midnight_are_of_both_days() -> None:
    call = Caller()
    await call.settings()
    now = call.parts.clock.now()
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    await asyncio.sleep((midnight - now).total_seconds() - 10)
    await served(call, "q")
    await asyncio.sleep(5 * 60)
    (queue,) = (await Live(call.parts).picture()).queues
    assert queue["serviceLevel"]["percent"] == 50.0


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


@in_virtual_time
async def test_ids_that_keys_do_not_hold() -> None:
    call = Caller()
    await call("UpsertDistributionPolicy", "q", body={"mode": {"kind": "longestIdle"}})
    odd = "a/b ~ü" + "x" * 200
    await call("UpsertQueue", odd, body={"distributionPolicyId": "q", "name": "</script>"})
    await call.worker(odd, queues=[odd])
    await call.job(odd, queueId=odd)
    await call.job("waits", queueId=odd)
    await soon()
    body = await seen(call)
    (queue,) = body["queues"]
    assert (queue["id"], queue["name"], queue["waiting"], queue["offered"]) == (odd, "</script>", 2, 1)
    assert [job["id"] for job in body["jobs"]] == [odd, "waits"]
    assert named(body["workers"])[odd]["offers"][0]["jobId"] == odd


async def everything(call: Caller, **query: Any) -> tuple[list[Any], list[Answer]]:
    pages = [await call("GetLive", **query)]
    while "nextLink" in pages[-1].body:
        pages.append(await call.follow("GetLive", pages[-1].body["nextLink"]))
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


def an_agent() -> Caller:
    call = Caller()
    tokens: Any = Tokens()
    call.gate.authenticator = Authenticator(AccessKeys([KEY]), tokens)
    return call


@pytest.mark.parametrize("by", ["id", "tag"])
@in_virtual_time
async def test_an_agent_sees_its_own_worker_alone(by: str) -> None:
    call = an_agent()
    await a_day(call)
    mine, tags = (ME, {}) if by == "id" else ("mine", {"entraObjectId": ME.upper()})
    await call.worker(mine, tags=tags, channels=[])
    await soon()
    queries: list[dict[str, Any]] = [{}, {"queueId": "q"}]
    for query in queries:
        body = (await call("GetLive", headers=role(Right.AGENT), **query)).body
        assert (list(named(body["workers"])), body["queues"], body["jobs"]) == ([mine], [], [])
        assert body["totals"]["waiting"] == body["totals"]["workersBusy"] == 0
    assert len((await call("GetLive", headers=role(Right.READ))).body["workers"]) == 4
    told = (await call("GetRights", headers=role(Right.AGENT))).body
    assert (told["right"], told["workerId"]) == ("Agent", mine)
    assert (await call("GetRights", headers=role(Right.AGENT, "nobody"))).body["workerId"] is None


@pytest.mark.parametrize("nobody", [Own(None), Own("")])
@in_virtual_time
async def test_a_token_without_object_id_has_no_worker(nobody: Own) -> None:
    call = Caller()
    await a_day(call)
    assert await call.gate.live.own_worker(nobody) is None
    answer = await call.gate.live.answer(queue_id=None, own=nobody, since=None, after=None)
    assert json.loads(answer.view.content)["workers"] == []


@in_virtual_time
async def test_a_reservation_is_no_offer_yet() -> None:
    """An offer that is a moment old is shown once it is known to be attached."""
    call = Caller()
    await a_day(call)
    record = await call.process.read_worker("v")
    (offer,) = record.worker.offers
    from router.engine.live import Seen, picture

    text = record.model_dump_json(by_alias=True, exclude_none=True)
    for age, known, shown in ((0.2, False, 0), (0.2, True, 1), (1.5, False, 1)):
        at = offer.offered_at + timedelta(seconds=age)
        made = picture(Seen(at, at, [], {}, [text], {}, None, Thresholds()), None, {offer.offer_id} if known else set())
        assert len(made.workers["v"].document["offers"]) == shown
