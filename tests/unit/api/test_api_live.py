"""What the picture shows (docs/behaviour.md, "Live")."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from router.api.auth.authenticate import Authenticator
from router.api.auth.hmac import AccessKeys
from router.engine.facts import Thresholds
from router.engine.ownership import Own
from router.models.rights import Right
from router.models.types import parse_time
from tests.memory_router import in_virtual_time
from tests.unit.api.api_caller import Caller
from tests.unit.api.live_floor import a_day, named, seen, soon
from tests.unit.auth.signed_wire import KEY
from tests.unit.auth.test_auth_rights import ME, Tokens, role

NOBODY_TOOK_ANY = "Workers who could take the job have lately taken no jobs that had waited."


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
