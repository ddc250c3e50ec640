"""A floor at work, and what `GetLive` shows of it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.api.api_caller import Caller


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
