"""The live picture of stored rows (docs/behaviour.md, "Live")."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine import capacity
from router.engine.facts import Thresholds
from router.engine.live import Picture, Seen, picture
from router.engine.live_lines import InLine, Pace, in_words
from router.engine.live_view import Asked, view
from router.engine.live_workers import takes_more
from router.models.types import format_time
from router.models.workers import (
    RouterChannel,
    RouterJobOffer,
    RouterWorker,
    RouterWorkerAssignment,
    WorkerRecord,
    WorkerRouting,
    WorkerState,
)

NOW = datetime(2026, 11, 3, 21, 26, 56, tzinfo=UTC)
CHANNELS = ("voice", "chat")


def worker(
    id: str = "w",
    *,
    state: WorkerState = WorkerState.ACTIVE,
    available: bool | None = True,
    capacity: int = 3,
    costs: tuple[int, ...] = (1,),
    most: int | None = None,
    offers: int = 0,
    assigned: int = 0,
    most_offers: int | None = None,
    **fields: Any,
) -> WorkerRecord:
    channels = [
        RouterChannel(channel_id=name, capacity_cost_per_job=cost, max_number_of_jobs=most)
        for name, cost in zip(CHANNELS, costs, strict=False)
    ]
    held = [
        RouterJobOffer(offer_id=f"o{n}", job_id=f"j{n}", capacity_cost=1, offered_at=NOW, expires_at=NOW)
        for n in range(offers)
    ]
    jobs = [
        RouterWorkerAssignment(assignment_id=f"a{n}", job_id=f"k{n}", capacity_cost=1, assigned_at=NOW)
        for n in range(assigned)
    ]
    made = RouterWorker(
        id=id,
        state=state,
        available_for_offers=available,
        capacity=capacity,
        channels=channels,
        offers=held,
        assigned_jobs=jobs,
        max_concurrent_offers=most_offers,
        **fields,
    )
    names = [*(one.job_id for one in held), *(one.job_id for one in jobs)]
    routing = WorkerRouting(
        available_since=NOW,
        active_at=NOW,
        job_channels={name: CHANNELS[number % 2] for number, name in enumerate(names)},
    )
    return WorkerRecord(worker=made, routing=routing, etag="e", modified=NOW)


def stored(record: WorkerRecord) -> str:
    return record.model_dump_json(by_alias=True, exclude_none=True)


@given(
    st.builds(
        worker,
        state=st.sampled_from(WorkerState),
        available=st.sampled_from([True, True, False, None]),
        capacity=st.integers(1, 5),
        costs=st.lists(st.integers(1, 4), max_size=2).map(tuple),
        most=st.sampled_from([None, 1, 2]),
        offers=st.integers(0, 3),
        assigned=st.integers(0, 3),
        most_offers=st.sampled_from([None, 1, 2]),
    )
)
def test_who_takes_more_is_who_matching_says(record: WorkerRecord) -> None:
    document = json.loads(stored(record))
    assert takes_more(document["worker"], document["routing"]) is bool(capacity.open_channels(record))


def waits(queue: str, *jobs: str, priority: int = 1) -> list[InLine]:
    return [InLine(queue, f"1~{n:04d}", job, "voice", priority, format_time(NOW), "[]") for n, job in enumerate(jobs)]


def seen(
    queues: dict[str, str], waiting: list[InLine], *workers: WorkerRecord, at: datetime = NOW, rates: Any = None
) -> Seen:
    """`queues`: id by key."""
    rows = [(id, key, json.dumps({"name": id.upper()})) for key, id in queues.items()]
    lines: dict[str, list[InLine]] = {}
    for one in sorted(waiting):
        lines.setdefault(one.queue_key, []).append(one)
    paces = {id: Pace(rate) for id, rate in (rates or {}).items()}
    return Seen(at, at, rows, lines, [stored(one) for one in workers], paces, None, Thresholds())


def body(made: Picture, asked: Asked | None = None) -> Any:
    return json.loads(view(made, asked or Asked(), str).content)


def test_what_has_not_changed_is_kept_and_dated_by_its_change() -> None:
    first = picture(
        seen({"q": "q", "r": "r"}, [*waits("q", "a"), *waits("r", "b")], worker("v"), worker("w")), None, ()
    )
    later = NOW + timedelta(seconds=10)
    second = picture(
        seen(
            {"q": "q", "r": "r"},
            [*waits("q", "a", "c"), *waits("r", "b")],
            worker("v", capacity=9),
            worker("w"),
            at=later,
        ),
        first,
        (),
    )
    assert {id: piece.since for id, piece in second.workers.items()} == {"v": later, "w": NOW}
    assert {id: piece.since for id, piece in second.lines.items()} == {"q": later, "r": NOW}
    assert body(second)["jobs"] == [job for queue in ("q", "r") for job in json.loads(second.lines[queue].content)]
    again = picture(
        seen(
            {"q": "q", "r": "r"},
            [*waits("q", "a", "c"), *waits("r", "b")],
            worker("v", capacity=9),
            worker("w"),
            at=later,
        ),
        second,
        (),
    )
    assert body(again) == body(second)
    assert view(again, Asked(), str).etag == view(second, Asked(), str).etag != view(first, Asked(), str).etag


def test_a_rate_that_becomes_known_changes_the_waits() -> None:
    first = picture(seen({"q": "q"}, waits("q", "a", "b")), None, ())
    second = picture(seen({"q": "q"}, waits("q", "a", "b"), rates={"q": 1 / 60}), first, ())
    assert [job["estimatedWaitMinutes"] for job in body(first)["jobs"]] == [None, None]
    assert [job["estimatedWaitMinutes"] for job in body(second)["jobs"]] == [1, 2]


def test_a_job_that_somebody_holds_does_not_wait() -> None:
    """Its row in the line may be late."""
    made = picture(seen({"q": "q"}, waits("q", "a", "k0", "b"), worker(assigned=1)), None, ())
    assert [(job["id"], job["position"]) for job in body(made)["jobs"]] == [("a", 1), ("b", 2)]
    offered = picture(seen({"q": "q"}, waits("q", "j0"), worker(offers=1)), None, {"o0"})
    assert [job["id"] for job in body(offered)["jobs"]] == ["j0"]


def test_a_queue_that_is_read_later_than_its_line_is_shown_by_its_key_until_then() -> None:
    first = picture(seen({}, waits("key=2F", "a")), None, ())
    assert body(first)["queues"][0] | {"name": "x"} == body(first)["queues"][0] | {"name": "x", "id": "key=2F"}
    second = picture(seen({"key=2F": "key/"}, waits("key=2F", "a")), first, ())
    (queue,) = body(second)["queues"]
    assert (queue["id"], queue["waiting"], body(second)["jobs"][0]["queueId"]) == ("key/", 1, "key/")


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ({"key": "a", "labelOperator": "equal", "value": "b"}, "a is b"),
        ({"key": "a", "labelOperator": "notEqual", "value": True}, "a is not true"),
        ({"key": "a", "labelOperator": "lessThan", "value": 2.5}, "a is less than 2.5"),
        ({"key": "a", "labelOperator": "lessThanOrEqual", "value": 2}, "a is at most 2"),
        ({"key": "a", "labelOperator": "greaterThan", "value": 2}, "a is greater than 2"),
        ({"key": "a", "labelOperator": "greaterThanOrEqual", "value": 2}, "a is at least 2"),
        ({"key": "a", "labelOperator": "equal"}, "a is nothing"),
    ],
)
def test_selectors_in_words(selector: dict[str, Any], words: str) -> None:
    assert in_words(json.dumps([selector])) == (words,)


def test_a_worker_that_is_being_deleted_is_gone() -> None:
    record = worker()
    gone = record.model_copy(update={"routing": record.routing.model_copy(update={"deleting": True})})
    assert picture(seen({}, [], gone), None, ()).workers == {}


def test_an_active_worker_of_before_is_active_since_it_registered() -> None:
    record = worker()
    record = record.model_copy(update={"routing": record.routing.model_copy(update={"registered_at": NOW})})
    assert picture(seen({}, [], record), None, ()).workers["w"].document["stateSince"] == "2026-11-03T21:26:56Z"
    assert picture(seen({}, [], worker()), None, ()).workers["w"].document["stateSince"] is None
