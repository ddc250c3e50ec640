"""Whatever was accepted can be offered, accepted, completed, closed, cancelled and deleted: over sizes, alphabets and
lives, at the limits of storage itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import TooLarge
from router.models.jobs import (
    CancelJobOptions,
    CloseJobOptions,
    CompleteJobOptions,
    JobStatus,
    RouterJobInput,
    RouterJobNote,
    SuspendMode,
    UnassignJobOptions,
)
from router.models.sizes import LARGEST_NOTED, LARGEST_ROUTED, LARGEST_WRITTEN, json_units, written_units
from router.models.types import MAX_TEXT_LENGTH
from router.models.workers import RouterChannel
from router.usecases import jobs, offers, workers
from router.usecases import settings as setting_usecases
from tests.memory_router import Process, Tables, in_virtual_time

ALPHABETS = ("a", "é", "中", "😀", '"', "\\", "\x01", "\u2028", 'a中😀"\n')
WORST_ID = "😀" * 256
Life = Callable[[Process, str], Awaitable[None]]


def filled(size: int, letter: str, others: dict[str, Any] | None = None) -> dict[str, Any]:
    """Labels and tags of so large a JSON, at most."""
    found: dict[str, Any] = {}
    left = size - 200
    per = json_units(letter) - 2
    number = 0
    while left > per + 20 and number < 100:
        count = min((left - 12) // per, MAX_TEXT_LENGTH // len(letter))
        found[f"k{number}"] = letter * count
        left -= json_units({f"k{number}": found[f"k{number}"]}) - 1
        number += 1
    return found


def largest_job(letter: str, size: int = LARGEST_WRITTEN, **fields: Any) -> RouterJobInput:
    wanted = RouterJobInput(channel_id="voice", queue_id="q", **fields)
    room = size - written_units(wanted, RouterJobInput.model_fields)
    wanted = wanted.model_copy(update={"labels": {**wanted.labels, **filled(room, letter)}})
    assert written_units(wanted, RouterJobInput.model_fields) <= LARGEST_WRITTEN
    return wanted


async def put(process: Process, id: str, wanted: RouterJobInput) -> None:
    await jobs.upsert(process.parts, id, lambda _: wanted, lambda etag, modified: None)


async def offered(process: Process, id: str) -> tuple[str, str]:
    for _ in range(60):
        for offer_id, offer in (await process.read_job(id)).routing.offers.items():
            return offer.worker_id, offer_id
        await asyncio.sleep(1)
    raise AssertionError("The job is never offered.")


async def assigned(process: Process, id: str) -> str:
    worker_id, offer_id = await offered(process, id)
    _, assignment_id = await offers.accept(process.parts, worker_id, offer_id)
    return assignment_id


async def to_its_end(process: Process, id: str) -> None:
    note = "n" * MAX_TEXT_LENGTH
    held = await assigned(process, id)
    await jobs.complete(process.parts, id, held, CompleteJobOptions(note=note))
    await jobs.close(process.parts, id, held, CloseJobOptions(note=note, disposition_code="d" * 256))


async def cancelled(process: Process, id: str) -> None:
    await offered(process, id)
    await jobs.cancel(process.parts, id, CancelJobOptions(note="n" * MAX_TEXT_LENGTH, disposition_code="d" * 256))


async def declined_and_unassigned(process: Process, id: str) -> None:
    for _ in range(3):
        held = await assigned(process, id)
        await jobs.unassign(process.parts, id, held, UnassignJobOptions())
    worker_id, offer_id = await offered(process, id)
    await offers.decline(process.parts, worker_id, offer_id, None)
    await workers.delete(process.parts, worker_id)
    await process.worker("another")
    await to_its_end(process, id)


async def through_many_queues(process: Process, id: str) -> None:
    for number in range(40):
        queue = f"{number}{WORST_ID}"[:256]
        await process.queue(queue)
        record = await process.read_job(id)
        wanted = RouterJobInput.model_validate(
            {
                **record.job.model_dump(),
                "labels": {name: value for name, value in record.job.labels.items() if name != "k0"},
                "queue_id": queue,
                "matching_mode": SuspendMode(kind="suspend"),
            }
        )
        await put(process, id, wanted)
    await jobs.cancel(process.parts, id, CancelJobOptions())


LIVES: tuple[Life, ...] = (to_its_end, cancelled, declined_and_unassigned, through_many_queues)


@settings(max_examples=16, deadline=None, derandomize=True)
@given(
    size=st.one_of(st.just(LARGEST_WRITTEN), st.integers(1_000, LARGEST_WRITTEN)),
    workers_size=st.one_of(st.just(LARGEST_WRITTEN), st.integers(1_000, LARGEST_WRITTEN)),
    letter=st.sampled_from(ALPHABETS),
    workers_letter=st.sampled_from(ALPHABETS),
    live=st.sampled_from(LIVES),
    ids=st.sampled_from(["j", WORST_ID, '"' * 256]),
)
def test_what_was_accepted_can_be_ended(
    size: int, workers_size: int, letter: str, workers_letter: str, live: Life, ids: str
) -> None:
    @in_virtual_time
    async def story() -> None:
        process = Process(Tables())
        await process.queue()
        await put(process, ids, largest_job(letter, size))
        await process.worker("w", labels=filled(workers_size - 500, workers_letter))
        await live(process, ids)
        await jobs.delete(process.parts, ids)
        await asyncio.sleep(120)
        assert not [row for row in process.tables.of("jobs").all() if row.row.partition("~")[0] == row.partition]
        assert len(process.tables.of("members")) == 0
        assert len(process.tables.of("backlog")) == 0
        await workers.delete(process.parts, "w")

    story()


@pytest.mark.parametrize("letter", ALPHABETS)
def test_a_job_of_the_largest_size_is_taken_and_one_larger_is_refused(letter: str) -> None:
    @in_virtual_time
    async def story() -> None:
        process = Process(Tables())
        await process.queue()
        wanted = largest_job(letter)
        room = LARGEST_WRITTEN - written_units(wanted, RouterJobInput.model_fields)
        await put(process, "fits", wanted.model_copy(update={"tags": {"t": "x" * (room - 20)}}))
        with pytest.raises(TooLarge):
            await put(process, "not", wanted.model_copy(update={"tags": {"t": "x" * (2 * room + 400)}}))
        assert process.tables.of("jobs").get("not", "not") is None

    story()


@in_virtual_time
async def test_a_note_that_does_not_fit_is_refused_and_the_job_ends_without_it() -> None:
    process = Process(Tables())
    await process.queue()
    await put(process, "j", largest_job("a"))
    await process.worker("w")
    held = await assigned(process, "j")
    note = "\x01" * MAX_TEXT_LENGTH  # six times as long as JSON
    with pytest.raises(TooLarge, match="note"):
        await jobs.complete(process.parts, "j", held, CompleteJobOptions(note=note))
    await jobs.complete(process.parts, "j", held, CompleteJobOptions())
    with pytest.raises(TooLarge, match="note"):
        await jobs.close(process.parts, "j", held, CloseJobOptions(note=note))
    await jobs.close(process.parts, "j", held, CloseJobOptions())
    assert (await process.read_job("j")).status is JobStatus.CLOSED


@in_virtual_time
async def test_a_job_that_has_grown_can_be_changed_as_long_as_it_does_not_grow() -> None:
    process = Process(Tables())
    await process.queue()
    await put(process, "j", largest_job("a"))
    await process.worker("w")
    held = await assigned(process, "j")
    await jobs.complete(process.parts, "j", held, CompleteJobOptions(note="n" * MAX_TEXT_LENGTH))
    job = (await process.read_job("j")).job
    as_it_is = RouterJobInput.model_validate(job.model_dump(include=set(RouterJobInput.model_fields)))
    await put(process, "j", as_it_is.model_copy(update={"labels": {**job.labels, "k0": "b" * 100}}))
    with pytest.raises(TooLarge):
        await put(process, "j", as_it_is.model_copy(update={"tags": {"t": "b" * 20_000}}))


@pytest.mark.parametrize("letter", ["n", "中", "\x01"])
def test_the_note_of_a_rule_is_cut_to_what_there_is_room_for(letter: str) -> None:
    @in_virtual_time
    async def story() -> None:
        process = Process(Tables())
        await process.queue()
        notes = [RouterJobNote(message="m" * 1000)]
        await put(process, "j", largest_job("a", notes=notes, matching_mode=SuspendMode(kind="suspend")))
        note = letter * MAX_TEXT_LENGTH
        actions = [{"kind": "cancel", "note": note, "dispositionCode": "late"}]
        rule = {"id": "r", "trigger": {"kind": "waitTime", "thresholdSeconds": 5}, "actions": actions}
        await setting_usecases.upsert(
            process.parts, "ExceptionPolicy", "e", lambda _: {"exceptionRules": [rule]}, lambda etag, modified: None
        )
        queue = {"distributionPolicyId": "q", "exceptionPolicyId": "e"}
        await setting_usecases.upsert(process.parts, "Queue", "q", lambda _: queue, lambda etag, modified: None)
        await put(process, "j", largest_job("a", notes=notes))
        from router.upkeep.rules import fire_wait_rules

        await asyncio.sleep(6)
        await fire_wait_rules(process.parts, "j")
        await asyncio.sleep(5)
        record = await process.read_job("j")
        assert (record.status, record.job.disposition_code) == (JobStatus.CANCELLED, "late")
        assert note.startswith(record.job.notes[-1].message)
        assert len(record.job.notes[-1].message) >= 8_000
        assert written_units(record.job, RouterJobInput.model_fields) <= LARGEST_NOTED

    story()


@in_virtual_time
async def test_a_worker_takes_jobs_until_its_row_is_full_and_then_is_out_of_sight() -> None:
    process = Process(Tables())
    await process.queue()
    channels = [RouterChannel(channel_id="voice", capacity_cost_per_job=1)]
    await process.worker("w", capacity=10_000, channels=channels)
    for number in range(150):
        await process.job(f"{number:03d}{WORST_ID}"[:256])
    await asyncio.sleep(20)
    held = len((await process.read_worker("w")).worker.offers)
    assert 40 < held < 150
    assert not process.tables.of("availability").all()
    one = (await process.read_worker("w")).worker.offers[0]
    await offers.accept(process.parts, "w", one.offer_id)
    await offers.decline(process.parts, "w", (await process.read_worker("w")).worker.offers[0].offer_id, None)
    await asyncio.sleep(5)
    assert len((await process.read_worker("w")).worker.offers) + 1 == held


def test_the_limits_fit_into_one_another() -> None:
    assert LARGEST_WRITTEN < LARGEST_ROUTED < LARGEST_NOTED - 3 * MAX_TEXT_LENGTH


async def test_what_is_wanted_of_a_new_job_is_worked_out_once() -> None:
    process = Process(Tables())
    await process.queue()
    asked: list[object] = []

    def wanted(record: object) -> RouterJobInput:
        asked.append(record)
        return RouterJobInput(channel_id="voice", queue_id="q")

    async def upsert() -> None:
        await jobs.upsert(process.parts, "job", wanted, lambda etag, modified: None)

    await upsert()
    assert asked == [None]
    await upsert()
    assert [record is None for record in asked] == [True, False]
