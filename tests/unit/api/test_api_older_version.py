"""A process of the version before histories beside one of this version, as while a deployment goes on: it reads and
writes rows without what it does not know (docs/history.md, "While an older version runs")."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from router.storage.port import Entity
from router.upkeep.facts import FactCounter
from tests.memory_router import Tables, in_virtual_time
from tests.unit.api.api_caller import Caller
from tests.unit.api.test_api_history import names, timeline


def older(tables: Tables) -> Caller:
    call = Caller(tables)
    call.parts.chronicle._days = 0
    stores: tuple[Any, ...] = (call.parts.jobs.store, call.parts.workers.store)
    for store in stores:
        known = store._form.row

        def row(id: str, entity: Entity, known: Any = known) -> Any:
            return replace(known(id, entity), history=(), logged=0, copied=0)

        store._form.row = row
    return call


async def offer_of(call: Caller, worker: str) -> str:
    (offer,) = (await call("GetWorker", worker)).body["offers"]
    return str(offer["offerId"])


@in_virtual_time
async def test_nothing_breaks_and_what_the_new_one_has_logged_stays() -> None:
    tables = Tables()
    new, old = Caller(tables), older(tables)
    await new.settings()
    await new.worker("w")
    await new.job("j")
    await asyncio.sleep(30)
    accepted = (await old("AcceptJobOffer", "w", await offer_of(old, "w"))).body["assignmentId"]
    await asyncio.sleep(30)
    assert (await new("CompleteJob", "j", accepted)).status == 200
    await asyncio.sleep(30)
    assert (await old("CloseJob", "j", accepted)).status == 200
    await asyncio.sleep(60)
    assert (await new("GetJob", "j")).body["status"] == "closed"
    assert (await new("GetWorker", "w")).body["assignedJobs"] == []
    assert (await timeline(new, "Job", "j"), (await new("ExplainJob", "j")).status) == ([], 200)
    told = [one for one in (await new("ListHistory", maxpagesize="1000")).body["value"] if one["owner"] == "job/j"]
    assert names(told) == ["JobReceived", "JobQueued", "JobCompleted"], "what is logged is not the row's to lose"
    counter = FactCounter(new.parts)
    for minute in sorted({one["at"][:16].replace(":", "") for one in told}):
        assert await counter.count_minute(minute)
    rows = (await new("GetQueueReport")).body["value"]
    counted = {name: sum(row[name] for row in rows) for name in ("offered", "accepted", "completed", "closed")}
    assert counted == {"offered": 1, "accepted": 0, "completed": 1, "closed": 0}


@in_virtual_time
async def test_the_next_change_by_this_version_is_told_again() -> None:
    tables = Tables()
    new, old = Caller(tables), older(tables)
    await new.settings()
    await old.job("j")
    await asyncio.sleep(30)
    await new.job("j", tags={"a": 1})
    await asyncio.sleep(30)
    assert [one["what"] for one in await timeline(new, "Job", "j")] == [{"tags": {"a": 1}}]
    await new.job("whole")
    await asyncio.sleep(30)
    assert names(await timeline(new, "Job", "whole")) == ["JobReceived", "JobQueued"]


@in_virtual_time
async def test_a_job_that_the_older_one_deletes_keeps_what_was_logged() -> None:
    tables = Tables()
    new, old = Caller(tables), older(tables)
    await new.settings()
    await new.job("j")
    await asyncio.sleep(30)
    await new("CancelJob", "j")
    await asyncio.sleep(30)
    assert (await old("DeleteJob", "j")).status == 204
    await asyncio.sleep(60)
    assert (await new("GetJobTimeline", "j")).status == 404
    told = [one for one in (await new("ListHistory", maxpagesize="1000")).body["value"] if one["owner"] == "job/j"]
    assert names(told) == ["JobReceived", "JobQueued", "JobCancelled"]
