"""What the export writes of histories that begin in the middle of things, and what the replay makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobrouter.whatif.sources import Replayed, play
from router.replay.errors import BadLine
from router.replay.exported import lines
from router.replay.history import Day, parse, told
from tests.unit.whatif.whatif_days import one_job, worker

FROM, TO = "2026-01-05T08:00:00+00:00", "2026-01-05T09:00:00+00:00"
QUEUE = {"id": "q", "distributionPolicyId": "d", "etag": "1"}
POLICY = {"id": "d", "offerExpiresAfterSeconds": 90, "mode": {"kind": "longestIdle"}}
NOW = {"id": "w", **worker(level=2), "availableForOffers": False, "state": "inactive", "loadRatio": 0, "etag": "1"}


def entry(minute: int, owner: str, *events: str, what: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """`minute` since eight."""
    named: Any = {name: fields[name] for name in ("workerId", "offerId") if name in fields}
    told = [{"eventType": f"Microsoft.Communication.{one}", **named} for one in events]
    at = f"2026-01-05T{8 + minute // 60:02}:{minute % 60:02}:00+00:00"
    return {"at": at, "owner": owner, "what": what or {}, "events": told, **fields}


def job_of(id: str, minute: int, **what: Any) -> list[dict[str, Any]]:
    """Comes, is offered to w at once, accepted after a minute and closed after five."""
    created = {"channelId": "voice", "queueId": "q", "priority": 1, "status": "queued", **what}
    offer: Any = {"workerId": "w", "offerId": f"o-{id}"}
    return [
        entry(minute, f"job/{id}", "RouterJobReceived", what=created),
        entry(minute, f"job/{id}", "RouterJobQueued", "RouterWorkerOfferIssued", **offer),
        entry(minute + 1, f"job/{id}", "RouterWorkerOfferAccepted", **offer),
        entry(minute + 5, f"job/{id}", "RouterJobClosed", workerId="w"),
    ]


def exported(
    *entries: dict[str, Any], changes: list[dict[str, Any]] | None = None, now: Any = NOW
) -> tuple[Day, list[dict[str, Any]]]:
    settings: Any = {"Queue": [QUEUE], "DistributionPolicy": [POLICY]}
    workers = [now] if now else []
    found = list(lines(FROM, TO, sorted(entries, key=lambda one: one["at"]), changes or [], settings, workers))
    return parse([json.dumps(one) for one in found], "day.ndjson"), found


def test_a_worker_was_what_it_is_where_no_entry_says_otherwise() -> None:
    away = entry(50, "worker/w", "RouterWorkerDeregistered", what={"availableForOffers": False, "state": "inactive"})
    day, found = exported(*job_of("j", 10), away)
    assert "notKnown" not in found[-2]
    assert day.workers["w"].resource.available_for_offers is True, "it was available before it no longer was"
    assert day.workers["w"].resource.labels == {"level": 2}
    assert [(job, who) for job, who, _ in play(Replayed(day), 0).assignments] == [("j", "w")]
    assert told(day) == []


@pytest.mark.parametrize("minute", [40, 80])
def test_what_was_changed_in_or_after_the_span_is_not_known_before(minute: int) -> None:
    """The worker's entries after the span are read too."""
    changed = entry(minute, "worker/w", what={"labels": {"level": 3}})
    registered = entry(5, "worker/w", "RouterWorkerRegistered", what={"availableForOffers": True})
    day, found = exported(registered, changed)
    line = next(one for one in found if one["kind"] == "worker")
    assert line["notKnown"] == ["labels"]
    assert len(line["entries"]) == (2 if minute < 60 else 1)
    assert day.workers["w"].resource.available_for_offers is False
    assert told(day) == ["1 worker with labels as they became in the day: w"]


def test_a_worker_that_is_gone_and_came_before_the_span_is_left_out() -> None:
    registered = entry(5, "worker/w", "RouterWorkerRegistered", what={"availableForOffers": True})
    day, _ = exported(registered, *job_of("j", 10), entry(70, "worker/w", "RouterWorkerDeleted"), now=None)
    assert day.workers == {}
    assert told(day) == [
        "1 worker left out, capacity, channels, queues not known: w",
        "offers went to workers that are not in the file: w",
    ]


def test_a_worker_that_came_after_the_span_is_not_in_the_file() -> None:
    whole = {**worker(), "availableForOffers": True, "state": "active"}
    _, found = exported(entry(70, "worker/w", "RouterWorkerRegistered", what=whole))
    assert [one["kind"] for one in found] == ["header", "distributionPolicy", "queue"]
    _, found = exported(entry(20, "worker/w", "RouterWorkerRegistered", what=whole))
    assert "notKnown" not in found[-1]
    assert found[-1]["entries"][0]["what"] == "registered"


def test_a_job_from_before_the_span_is_not_played_and_holds_its_worker() -> None:
    earlier = [
        entry(2, "job/old", "RouterWorkerOfferAccepted", workerId="w", offerId="o", channelId="voice", queueId="q"),
        entry(30, "job/old", "RouterJobClosed", workerId="w", channelId="voice"),
    ]
    here = entry(0, "worker/w", "RouterWorkerRegistered", what={"availableForOffers": True})
    late = [*job_of("j", 10)[:2], entry(31, "job/j", "RouterWorkerOfferAccepted", workerId="w", offerId="o-j")]
    late[1]["events"] = late[1]["events"][:1]
    late.insert(2, entry(30, "job/j", "RouterWorkerOfferIssued", workerId="w", offerId="o-j"))
    day, found = exported(here, *earlier, *late)
    line = next(one for one in found if one.get("id") == "old")
    assert {"createdAt", "priority", "requestedWorkerSelectors"} <= set(line["notKnown"])
    assert [(one.worker_id, one.begins.minute, one.ends and one.ends.minute) for one in day.held] == [("w", 2, 30)]
    assert [(job, second) for job, _, second in play(Replayed(day), 0).assignments] == [("j", 1860.0)]
    assert told(day)[0].startswith("1 job left out, attachedWorkerSelectors, createdAt,")


def test_one_that_was_closed_alone_has_held_its_worker_from_the_begin() -> None:
    day, _ = exported(entry(30, "job/old", "RouterJobClosed", workerId="w", channelId="voice"))
    assert [(one.begins, one.ends and one.ends.minute) for one in day.held] == [(day.begins, 30)]
    day, _ = exported(entry(30, "job/old", "RouterJobCompleted", workerId="w", channelId="voice"))
    assert [(one.begins, one.ends) for one in day.held] == [(day.begins, None)]


def test_what_was_too_long_for_the_history_is_not_guessed() -> None:
    day, _ = exported(*job_of("j", 10, tooLong=["requestedWorkerSelectors"]))
    assert day.jobs == []
    assert told(day) == ["1 job left out, requestedWorkerSelectors not known: j"]


def test_settings_come_and_go() -> None:
    def change(minute: int, what: str, before: Any, after: Any) -> dict[str, Any]:
        at = f"2026-01-05T08:{minute:02}:00+00:00"
        return {"kind": "Queue", "id": "new", "at": at, "what": what, "before": before, "after": after}

    queue = {"distributionPolicyId": "d"}
    changes = [change(5, "created", None, queue), change(50, "deleted", queue, None)]
    here = {**NOW, "queues": ["q", "new"], "availableForOffers": True}
    day, _ = exported(*job_of("j", 10, queueId="new"), changes=changes, now=here)
    assert [one and one.distribution_policy_id for _, one in day.settings["queue", "new"].changes] == ["d", None]
    assert len(play(Replayed(day), 0, {"queues": {"new": {"name": "other"}}}).assignments) == 1
    early = exported(*job_of("j", 3, queueId="new"), changes=changes, now=here)[0]
    with pytest.raises(Exception, match="comes to a queue 'new' that the file does not have then"):
        play(Replayed(early), 0)


def test_what_a_rule_did_is_decided_anew_and_what_a_client_did_is_not() -> None:
    def changed(by: str | None) -> int:
        decided = {"decidedBy": by} if by else {}
        move = entry(12, "job/j", what={"priority": 9}, **decided)
        day, _ = exported(*job_of("j", 10)[:2], move)
        return len(Replayed(day).day(0)[1].acts("j"))

    assert changed("exceptionPolicy/e/late") == 0
    assert changed("classificationPolicy/c") == 1
    assert changed(None) == 1


def test_names_of_what_is_not_known_are_names() -> None:
    given = one_job()
    given[4] = json.dumps(json.loads(given[4]) | {"notKnown": [1]})
    with pytest.raises(BadLine, match="f:5: 'notKnown' is no list of names"):
        parse(given, "f")
