"""Statuses, ETag, Last-Modified and the conditions on them; times (docs/behaviour.md, "Conditions")."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest
from multidict import CIMultiDict

from tests.eventually import eventually_async
from tests.raw_wire import GA, MERGE_PATCH, Answer, RawWire, sign

HTTP_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")
KINDS = ("ClassificationPolicy", "DistributionPolicy", "ExceptionPolicy", "Queue", "Job", "Worker")


async def bodies(wire: RawWire, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What makes a resource of this kind, and what changes it."""
    match kind:
        case "DistributionPolicy":
            return {"mode": {"kind": "longestIdle"}}, {"name": "changed"}
        case "Queue":
            return {"distributionPolicyId": await wire.policy()}, {"name": "changed"}
        case "Job":
            new = {"channelId": "voice", "queueId": await wire.queue(), "matchingMode": {"kind": "suspend"}}
            return new, {"dispositionCode": "changed"}
        case "Worker":
            return {"capacity": 1}, {"tags": {"changed": True}}
        case _:
            return {}, {"name": "changed"}


def validators(answer: Answer) -> tuple[str, str]:
    etag, modified = answer.headers["ETag"], answer.headers["Last-Modified"]
    assert etag == answer.body["etag"], "letter for letter, the quotes too"
    assert re.fullmatch(r'"[^"]+"', etag), etag
    assert HTTP_DATE.fullmatch(modified), modified
    return etag, modified


@pytest.mark.parametrize("kind", KINDS)
async def test_created_read_changed_and_deleted(wire: RawWire, kind: str) -> None:
    new, change = await bodies(wire, kind)
    path = await wire.make(kind, new)
    first = await wire.get(path)
    first.expect(200)
    etag, modified = validators(first)
    assert abs(parsedate_to_datetime(modified) - datetime.now(UTC)) < timedelta(minutes=1)

    # What changes nothing leaves both as they are, and so does reading.
    for answer in (
        await wire.patch(path, new),
        await wire.patch(path, {}),
        await wire.patch(path, first.body),
        await wire.get(path),
    ):
        assert answer.expect(200) == first.body
        assert validators(answer) == (etag, modified)

    changed = await wire.patch(path, change)
    assert changed.expect(200) == {**first.body, **change, "etag": changed.body["etag"], **labels(first.body, change)}
    assert validators(changed)[0] != etag
    again = await wire.patch(path, change)
    assert validators(again) == validators(changed)
    assert (await wire.get(path)).expect(200) == changed.body

    if kind == "Job":
        (await wire.post(f"{path}:cancel")).expect(200)
    for _ in range(2):
        deleted = await wire.delete(path)
        assert (deleted.status, deleted.content) == (204, b"")
    gone = await wire.get(path)
    gone.refused(404, "NotFound")
    assert gone.reason == "Not Found"


def labels(body: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return {"labels": body["labels"]} if "labels" in body and "labels" not in change else {}


@pytest.mark.parametrize("kind", KINDS)
async def test_conditions_hold_or_nothing_is_written(wire: RawWire, kind: str) -> None:
    new, change = await bodies(wire, kind)
    path = await wire.make(kind, new)
    before = await wire.get(path)
    etag, modified = validators(before)
    earlier = format_datetime(parsedate_to_datetime(modified) - timedelta(seconds=1), usegmt=True)
    for failing in (
        {"If-Match": '"another"'},
        {"If-Match": f"W/{etag}"},  # a weak one never matches strongly
        {"If-None-Match": "*"},
        {"If-None-Match": etag},
        {"If-Unmodified-Since": earlier},
    ):
        answer = await wire.patch(path, change, headers=failing)
        answer.refused(412, "ConditionNotMet")
    after = await wire.get(path)
    assert after.expect(200) == before.body
    assert validators(after) == (etag, modified)

    for holding in (
        {"If-Match": "*"},
        {"If-Match": f'"another", {etag}'},
        {"If-None-Match": '"another"'},
        {"If-Unmodified-Since": modified},
        {"If-Unmodified-Since": "no date at all"},  # RFC 9110: ignored
        {"If-Match": etag.strip('"')},  # without its quotes it is taken for the one with them
        {"If-Match": etag, "If-Unmodified-Since": earlier},  # RFC 9110: If-Match goes first
    ):
        assert (await wire.patch(path, {}, headers=holding)).expect(200) == before.body
    (await wire.patch(path, change, headers={"If-Match": etag})).expect(200)
    (await wire.patch(path, new, headers={"If-Match": etag})).refused(412, "ConditionNotMet")


@pytest.mark.parametrize("kind", KINDS)
async def test_conditions_on_what_is_not_there(wire: RawWire, kind: str) -> None:
    new, _ = await bodies(wire, kind)
    path = await wire.make(kind, new)
    path = f"{path}-another"
    for any_etag in ("*", '"any"'):
        (await wire.patch(path, new, headers={"If-Match": any_etag})).refused(412, "ConditionNotMet")
    (await wire.get(path)).refused(404, "NotFound")
    long_ago = {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}
    (await wire.patch(path, new, headers={"If-None-Match": "*", **long_ago})).expect(201)


async def test_a_condition_that_is_sent_twice(wire: RawWire) -> None:
    path = await wire.make("Worker", {"capacity": 1})
    etag = (await wire.get(path)).headers["ETag"]
    target, body = f"{path}?api-version={GA}", b'{"capacity": 2}'
    for name, values, status in (
        ("If-None-Match", ("*", "*"), 412),
        ("If-None-Match", ('"another"', "*"), 412),
        ("If-None-Match", ('"another"', etag), 412),
        ("If-Match", ('"another"', '"a third"'), 412),
        ("If-Match", ('"another"', etag), 200),
    ):
        headers = CIMultiDict({"Content-Type": MERGE_PATCH, **sign(wire.key, "PATCH", target, wire.host, body)})
        for value in values:
            headers.add(name, value)
        answer = await wire.exchange("PATCH", target, headers, body)
        assert answer.status == status, f"{name} {values}: {answer.content!r}"


@pytest.mark.parametrize("kind", KINDS)
async def test_an_empty_condition_is_refused(wire: RawWire, kind: str) -> None:
    new, change = await bodies(wire, kind)
    path = await wire.make(kind, new)
    before = (await wire.get(path)).expect(200)
    target, body = f"{path}?api-version={GA}", json.dumps(change).encode()
    for name in ("If-Match", "If-None-Match"):
        headers = {"Content-Type": MERGE_PATCH, **sign(wire.key, "PATCH", target, wire.host, body), name: ""}
        error = (await wire.exchange("PATCH", target, headers, body)).refused(400, "BadRequest")
        assert [detail["target"] for detail in error["details"]] == [name]
    assert (await wire.get(path)).expect(200) == before


async def test_conditions_are_of_patch_alone(wire: RawWire) -> None:
    """The clients send none with other methods; what another client sends is not half obeyed."""
    path = await wire.make("Worker", {"capacity": 1})
    etag = (await wire.get(path)).headers["ETag"]
    (await wire.get(path, headers={"If-None-Match": etag})).expect(200)
    (await wire.get(path, headers={"If-Match": '"another"'})).expect(200)
    assert (await wire.delete(path, headers={"If-Match": '"another"'})).status == 204


@pytest.mark.parametrize("kind", ["Queue", "Worker", "Job"])
async def test_of_many_who_create_one_thing_one_does(wire: RawWire, kind: str) -> None:
    new, _ = await bodies(wire, kind)
    path = (await wire.make(kind, new)) + "-race"
    answers = await asyncio.gather(*(wire.patch(path, new, headers={"If-None-Match": "*"}) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [412] * 7


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("2023-11-03T21:26:56.8545932Z", "2023-11-03T21:26:56.854593+00:00"),
        ("2023-11-03T21:26:56.8545932+00:00", "2023-11-03T21:26:56.854593+00:00"),
        ("2023-11-03T21:26:56+05:30", "2023-11-03T15:56:56+00:00"),
        ("2023-11-03T21:26:56.5-08:00", "2023-11-04T05:26:56.5+00:00"),
        ("2023-11-03t21:26:56z", "2023-11-03T21:26:56+00:00"),
        ("2023-11-03T21:26:56.000Z", "2023-11-03T21:26:56+00:00"),
        ("2023-11-03T21:26:56.100000Z", "2023-11-03T21:26:56.1+00:00"),
        ("2024-02-29T23:59:59.999999Z", "2024-02-29T23:59:59.999999+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
    ],
)
async def test_times_of_clients_keep_their_value(wire: RawWire, sent: str, answered: str) -> None:
    queue = await wire.queue()
    job = await wire.job(queue, matchingMode={"kind": "suspend"}, notes=[{"message": "n", "addedAt": sent}])
    first = await wire.get(job)
    assert first.expect(200)["notes"] == [{"message": "n", "addedAt": answered}]
    # Another writing of the same moment is no change.
    again = await wire.patch(job, {"notes": [{"message": "n", "addedAt": sent}]})
    assert again.expect(200) == first.body


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "2023-11-03T21:26:56Z\n",
        "2023-11-03T21:26:56+24:00",
        "yesterday",
        "2023-11-03",
        "2023-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2023-11-03T25:00:00Z",
        5,
        True,
        {},
    ],
)
async def test_what_is_no_time(wire: RawWire, sent: Any) -> None:
    queue = await wire.queue()
    body = {"channelId": "voice", "queueId": queue, "notes": [{"message": "n", "addedAt": sent}]}
    error = (await wire.patch(f"/routing/jobs/{wire.id()}", body)).refused(400, "BadRequest")
    assert [detail["target"] for detail in error["details"]] == ["notes[0].addedAt"]
    assert "timedelta" not in error["message"]


async def test_times_of_the_router_have_the_form_of_the_service(wire: RawWire) -> None:
    queue = await wire.queue()
    job = await wire.job(queue, notes=[{"message": "now"}])

    async def queued() -> dict[str, Any]:
        found: dict[str, Any] = (await wire.get(job)).expect(200)
        assert "enqueuedAt" in found, found
        return found

    found = await eventually_async(queued, "the job is queued", pause=0.03)
    form = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{0,6}[1-9])?\+00:00")
    for text in (found["enqueuedAt"], found["notes"][0]["addedAt"]):
        assert form.fullmatch(text), text
        assert abs(datetime.fromisoformat(text) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_notes_come_sorted_by_their_time(wire: RawWire) -> None:
    queue = await wire.queue()
    times = ["2024-01-01T00:00:02Z", "2024-01-01T00:00:01.5Z", "2023-01-01T00:00:00+02:00"]
    notes = [{"message": str(number), "addedAt": time} for number, time in enumerate(times)]
    job = await wire.job(queue, notes=notes, matchingMode={"kind": "suspend"})
    assert [note["message"] for note in (await wire.get(job)).expect(200)["notes"]] == ["2", "1", "0"]
