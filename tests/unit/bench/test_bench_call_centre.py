"""What the call centre of the benches notes, and how its agents answer, over answers that a test makes up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest

from bench import call_centre
from bench.call_centre import CallCentre
from bench.job_figures import offers, problems
from bench.stage import Stage
from bench.subscriber import Arrival
from tests.eventually import eventually_async
from tests.raw_wire import Answer


class Wire:
    """Answers by what stands at the end of a path: the next of the answers listed, the last one again and again."""

    def __init__(self, **answers: list[int | Exception]) -> None:
        self.sent: list[str] = []
        self._answers = answers

    async def send(self, method: str, path: str, body: Any = None) -> Answer:
        operation = path.rpartition(":")[2] if method == "POST" else "upsert"
        self.sent.append(operation)
        listed = self._answers.get(operation, [201 if operation == "upsert" else 200])
        answer = listed.pop(0) if len(listed) > 1 else listed[0]
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer, "", {}, json.dumps({"assignmentId": "a"}).encode())


class Scene:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire


@asynccontextmanager
async def centre_with(
    wire: Wire, *, answering: bool = True
) -> AsyncIterator[tuple[CallCentre, asyncio.Queue[Arrival]]]:
    centre = CallCentre(cast(Stage, Scene(wire)), answering=answering)
    arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
    centre.take_events(arrivals)
    yield centre, arrivals
    await centre.end()


def offer(job: str, offer_id: str, moment: float) -> Arrival:
    return Arrival(moment, "RouterWorkerOfferIssued", {"jobId": job, "workerId": "w", "offerId": offer_id})


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_centre, "_AGAIN_SECONDS", 0)


async def closed(centre: CallCentre, count: int) -> None:
    async def there() -> bool:
        return len(centre.closed) == count

    await eventually_async(there, f"{count} jobs are closed")


async def test_an_offer_is_answered_once_however_often_it_is_seen() -> None:
    wire = Wire()
    async with centre_with(wire) as (centre, arrivals):
        (job,) = await centre.submit("q", 1000, 1)
        centre.see_offer("w", "o", job, centre.submitted[job] + 2)
        arrivals.put_nowait(offer(job, "o", centre.submitted[job] + 3))
        await closed(centre, 1)
        assert wire.sent == ["upsert", "accept", "complete", "close"]
        assert centre.waits([job], centre.offered) == [pytest.approx(2000)], "seen first by asking"
        assert centre.waits([job], centre.told) == [pytest.approx(3000)], "told by the event"
        assert {name for name, _ in centre.owed} == {
            "RouterJobReceived",
            "RouterWorkerOfferIssued",
            "RouterWorkerOfferAccepted",
            "RouterJobCompleted",
            "RouterJobClosed",
        }
        assert set(centre.arrived) == {("RouterWorkerOfferIssued", "o")}


async def test_offers_ring_where_nobody_answers() -> None:
    wire = Wire()
    async with centre_with(wire, answering=False) as (centre, arrivals):
        (job,) = await centre.submit("q", 1000, 1)
        arrivals.put_nowait(offer(job, "o", centre.submitted[job] + 1))
        assert await centre.until(centre.told, [job], 5)
        assert not await centre.until(centre.closed, [job], 0.01)
        assert wire.sent == ["upsert"]


async def test_what_was_not_answered_is_asked_again_until_it_is() -> None:
    """The second `complete` is refused, since the first one was heard though its answer was lost."""
    wire = Wire(accept=[TimeoutError(), 503, 200], complete=[aiohttp.ClientError(), 409], close=[503, 200])
    async with centre_with(wire) as (centre, arrivals):
        (job,) = await centre.submit("q", 1000, 1)
        arrivals.put_nowait(offer(job, "o", 0))
        await closed(centre, 1)
        assert wire.sent == ["upsert", *["accept"] * 3, *["complete"] * 2, *["close"] * 2]
        told = "accept_503:1,accept_timeout:1,close_503:1,complete_409:1,complete_cut:1"
        assert problems(centre) == {"problems": told}


@pytest.mark.parametrize("refused", ["accept", "complete", "close"])
async def test_what_is_refused_is_a_problem_and_closes_nothing(refused: str) -> None:
    answers: dict[str, list[int | Exception]] = {refused: [409]}
    wire = Wire(**answers)
    async with centre_with(wire) as (centre, arrivals):
        (job,) = await centre.submit("q", 1000, 1)
        arrivals.put_nowait(offer(job, "o", 0))

        async def told() -> bool:
            return centre.problems == {f"{refused}_409": 1}

        await eventually_async(told)
        assert wire.sent[-1] == refused
        assert not centre.closed


async def test_only_jobs_that_were_made_are_acknowledged() -> None:
    wire = Wire(upsert=[201, 503, TimeoutError()])
    async with centre_with(wire) as (centre, _):
        jobs = await centre.submit("q", 1000, 3)
        assert await centre.until(centre.answered, jobs, 5)
        assert centre.acknowledged(jobs) == jobs[:1]
        assert sorted(one.status for one in centre.asked) == ["201", "503", "timeout"]


async def test_jobs_that_were_offered_late_or_never_are_counted() -> None:
    async with centre_with(Wire(), answering=False) as (centre, arrivals):
        jobs = await centre.submit("q", 1000, 4)
        for job, seconds in zip(jobs, (1, 9.9, 10.1), strict=False):
            arrivals.put_nowait(offer(job, f"o-{job}", centre.submitted[job] + seconds))
        assert await centre.until(centre.told, jobs[:3], 5)
        assert offers(centre, jobs) == {
            "offer_p50_ms": "9900",
            "offer_p95_ms": "10100",
            "offer_p99_ms": "10100",
            "offer_over_10s": 2,
            "offer_never": 1,
        }


async def test_a_measurement_whose_agents_fail_ends_with_an_error() -> None:
    centre = CallCentre(cast(Stage, Scene(Wire())), answering=True)
    arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
    centre.take_events(arrivals)
    arrivals.put_nowait(Arrival(0, "RouterWorkerOfferIssued", {"jobId": "j"}))
    await eventually_async(lambda: asyncio.sleep(0, arrivals.empty()))
    with pytest.raises(ExceptionGroup, match="not to be believed"):
        await centre.end()
