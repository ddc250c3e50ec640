"""Delivery to one subscription, with a transport that does as it is told."""

from __future__ import annotations

import asyncio
import heapq
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.topic import delivery as module
from local.topic.deadletter import DeadLetters
from local.topic.delivery import Delivery, Policy, lane_of
from local.topic.store import Row, Store
from local.topic.subscriptions import Subscription
from local.topic.transport import Letter, Outcome, status_name

OK = Outcome("Ok", 200, delivered=True)
BUSY = Outcome("ServiceUnavailable", 503)


class FakeTransport:
    """Each post waits until the test says how it ends, or ends at once with `always`."""

    host = ("127.0.0.1", 1)

    def __init__(self) -> None:
        self.always: Outcome | None = None
        self.posts: list[list[str]] = []
        self.open: dict[str, asyncio.Future[Outcome]] = {}

    def delivered_body(self, body: str) -> str:
        return body

    async def post(self, letters: Sequence[Letter]) -> Outcome:
        ids = [json.loads(letter.body)["id"] for letter in letters]
        self.posts.append(ids)
        if self.always is not None:
            return self.always
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.open[ids[0]] = future
        return await future

    def end(self, id: str, outcome: Outcome = OK) -> None:
        self.open.pop(id).set_result(outcome)


class Fixture:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.transport = FakeTransport()
        self.dead = DeadLetters(folder / "deadletter")
        self.store = Store(folder / "events.sqlite3", self._committed)
        self.delivery = self.new_delivery()

    def new_delivery(self, schedule: tuple[float, ...] = (0.01,), places: int = 4, **more: Any) -> Delivery:
        subscription = Subscription("s", "http://127.0.0.1:1", **more)
        policy = Policy(schedule, places, jitter=lambda: 1.0)
        self.delivery = Delivery(subscription, self.transport, self.store, self.dead, policy)  # type: ignore[arg-type]
        return self.delivery

    def _committed(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.delivery.offer(row)
        self.delivery.kick()

    async def publish(self, *ids_and_lanes: str, published: float | None = None) -> None:
        when = time.time() if published is None else published
        rows = []
        for part in ids_and_lanes:
            id, _, lane = part.partition("@")
            rows.append(Row(0, "s", when, 0, lane or id, "1", json.dumps({"id": id})))
        await self.store.add(rows)
        await settle()

    def dead_letters(self) -> list[dict[str, Any]]:
        path = self.folder / "deadletter" / "s.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition is of another's making
            await asyncio.sleep(0.002)


@pytest.fixture
async def fixture(tmp_path: Path) -> AsyncIterator[Fixture]:
    one = Fixture(tmp_path)
    yield one
    await one.delivery.stop(0)
    await one.store.close()


def test_lanes_are_aggregates() -> None:
    assert lane_of("job/1/channel/c/queue/q") == lane_of("job/1") == "job/1"
    assert lane_of("worker/1") != lane_of("job/1")
    assert lane_of("") == ""


async def test_nothing_goes_out_before_the_start(fixture: Fixture) -> None:
    await fixture.publish("a")
    assert fixture.transport.posts == []
    fixture.delivery.start()
    await settle()
    assert fixture.transport.posts == [["a"]]


async def test_first_attempts_fill_the_places_and_lanes_wait(fixture: Fixture) -> None:
    fixture.delivery.start()
    await fixture.publish("a1@a", "a2@a", "b1@b", "a3@a", "c1@c", "d1@d", "e1@e")
    assert fixture.transport.posts == [["a1"], ["b1"], ["c1"], ["d1"]]
    fixture.transport.end("a1", BUSY)
    await settle()
    assert fixture.transport.posts[4:] == [["a2"]]
    fixture.transport.end("b1")
    await settle()
    assert fixture.transport.posts[5:] == [["e1"]]


async def test_retries_have_places_of_their_own(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 600)
    fixture.new_delivery(schedule=(0.001,), places=1).start()
    await fixture.publish("bad", "slow")
    fixture.transport.end("bad", BUSY)
    await until(lambda: fixture.transport.posts == [["bad"], ["slow"], ["bad"]])
    assert set(fixture.transport.open) == {"slow", "bad"}


async def test_a_hanging_attempt_holds_nobody_up(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.02)
    fixture.new_delivery(places=1).start()
    await fixture.publish("a1@a", "a2@a", "b1@b")
    await until(lambda: fixture.transport.posts == [["a1"], ["a2"], ["b1"]])
    fixture.transport.end("a1", OK)
    fixture.transport.end("a2", OK)
    fixture.transport.end("b1", OK)
    await until(lambda: fixture.delivery.counts.pending == 0)
    fixture.transport.always = OK
    await fixture.publish("a3@a")
    assert fixture.transport.posts[3:] == [["a3"]]


async def test_a_batch_takes_followers_of_a_lane_in_order(fixture: Fixture) -> None:
    fixture.new_delivery(max_events_per_batch=3).start()
    await fixture.publish("a1@a", "a2@a", "b1@b", "a3@a", "a4@a")
    assert fixture.transport.posts == [["a1", "a2", "a3"], ["b1"]]
    fixture.transport.end("a1", BUSY)
    await until(lambda: len(fixture.transport.posts) == 6)
    assert fixture.transport.posts[2] == ["a4"]
    assert sorted(fixture.transport.posts[3:]) == [["a1"], ["a2"], ["a3"]]


async def test_the_schedule_s_last_step_repeats(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    fixture.new_delivery(schedule=(0.01, 0.05), max_delivery_attempts=5).start()
    fixture.transport.always = BUSY
    steps: list[float] = []

    def note(heap: list[Any], entry: Any) -> None:
        steps.append(entry[0] - asyncio.get_running_loop().time())
        heapq.heappush(heap, entry)

    monkeypatch.setattr(module, "heapq", SimpleNamespace(heappush=note, heappop=heapq.heappop))
    await fixture.publish("a")
    await until(fixture.dead_letters)
    assert steps == pytest.approx([0.01, 0.05, 0.05, 0.05], abs=0.009)
    assert fixture.dead_letters()[0]["deliveryAttempts"] == 5


async def test_an_expired_event_is_not_tried(fixture: Fixture) -> None:
    fixture.delivery.start()
    fixture.transport.always = OK
    await fixture.publish("old", published=1.0)
    await fixture.publish("new")
    await until(lambda: fixture.transport.posts == [["new"]])
    (letter,) = fixture.dead_letters()
    assert (letter["id"], letter["deadLetterReason"], letter["deliveryAttempts"]) == ("old", "TimeToLiveExceeded", 0)
    assert "lastDeliveryOutcome" not in letter


async def test_what_a_stop_leaves_is_taken_over(fixture: Fixture) -> None:
    fixture.delivery.start()
    await fixture.publish("a", "b", "c", "d", "e")
    fixture.transport.end("a")
    await settle()
    await fixture.delivery.stop(0)
    fixture.transport.posts.clear()
    fixture.transport.always = OK
    fixture.new_delivery().resume(fixture.store.counts()["s"])
    fixture.delivery.start()
    await until(lambda: fixture.delivery.counts.pending == 0)
    assert fixture.transport.posts == [["b"], ["c"], ["d"], ["e"]]


async def test_memory_holds_a_window_and_the_disk_the_rest(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WINDOW", 10)
    await fixture.publish(*(str(n) for n in range(50)))
    assert fixture.delivery._waiting == 10
    fixture.transport.always = OK
    fixture.delivery.start()
    await fixture.publish(*(str(n) for n in range(50, 60)))
    await until(lambda: fixture.delivery.counts.pending == 0)
    assert fixture.transport.posts == [[str(n)] for n in range(60)]


async def test_new_events_queue_up_behind_those_on_disk(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WINDOW", 10)
    await fixture.publish(*(str(n) for n in range(30)))

    def is_under_way(id: str) -> Callable[[], bool]:
        return lambda: id in fixture.transport.open

    fixture.delivery.start()
    await settle()
    assert fixture.delivery._waiting == 6  # four are under way, so there would be room
    await fixture.publish("30")
    for number in range(31):
        await until(is_under_way(str(number)))
        fixture.transport.end(str(number))
    await until(lambda: fixture.delivery.counts.pending == 0)
    assert fixture.transport.posts == [[str(n)] for n in range(31)]


async def test_an_unexpected_fault_brings_only_its_own_event_back(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture.new_delivery(max_delivery_attempts=1, max_events_per_batch=2).start()
    append = fixture.dead.append
    faults = [OSError("disk full")]

    def failing_once_for_b(subscription: str, event: dict[str, Any], *args: Any, **more: Any) -> None:
        if event["id"] == "b" and faults:
            raise faults.pop()
        append(subscription, event, *args, **more)

    monkeypatch.setattr(fixture.dead, "append", failing_once_for_b)
    fixture.transport.always = BUSY
    await fixture.publish("a", "b")
    await until(lambda: len(fixture.dead_letters()) == 2)
    assert fixture.transport.posts == [["a", "b"], ["b"]]
    assert fixture.delivery.counts.pending == 0


async def test_while_nobody_answers_one_event_at_a_time_is_tried(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PROBE_SECONDS", 600)
    fixture.new_delivery(schedule=(600,)).start()
    refused = Outcome("SocketError", unreachable=True)
    fixture.transport.always = refused
    await fixture.publish(*(f"early{n}" for n in range(4)))
    assert len(fixture.transport.posts) == 4
    await fixture.publish("late")
    assert len(fixture.transport.posts) == 4
    assert fixture.delivery.unreachable
    fixture.transport.always = OK
    fixture.delivery._found()
    await until(lambda: fixture.delivery.counts.pending == 0)
    assert fixture.delivery.counts.delivered == 5


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequest"),
        (405, "MethodNotAllowed"),
        (413, "RequestEntityTooLarge"),
        (414, "RequestUriTooLong"),
        (416, "RequestedRangeNotSatisfiable"),
        (422, "UnprocessableEntity"),
        (429, "TooManyRequests"),
        (431, "RequestHeaderFieldsTooLarge"),
        (500, "InternalServerError"),
        (505, "HttpVersionNotSupported"),
        (599, "Http599"),
    ],
)
def test_a_status_has_one_name_whatever_python_calls_it(status: int, name: str) -> None:
    assert status_name(status) == name
