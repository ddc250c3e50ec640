"""A day is decided again as it was, and otherwise where the change says so."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobrouter.failure import CommandError
from jobrouter.whatif import search
from jobrouter.whatif.changes import changed
from jobrouter.whatif.sources import Generated, Replayed, play
from router.replay.errors import NotReplayable
from router.replay.figures import doubts, estimates, figures
from router.replay.history import parse
from router.replay.lateness import lateness
from router.replay.verdicts import verdicts
from tests.unit.whatif.whatif_days import day, lines, one_job, profile, worker


def at(minute: int, what: str, **fields: Any) -> dict[str, Any]:
    return {"at": f"2026-01-05T08:{minute:02}:00Z", "what": what, **fields}


def test_a_day_is_replayed_as_it_was() -> None:
    source = Generated(profile())
    lived = play(source, 0)
    again = play(Replayed(day()), 0)
    assert [one[:2] for one in again.assignments] == [one[:2] for one in lived.assignments]
    assert len(again.assignments) > 100
    assert doubts(day(), again, 20) == []


def test_what_is_not_the_day_is_doubted() -> None:
    wrong = day()
    for id in [one for one in wrong.workers if one.startswith("french")]:
        del wrong.workers[id]  # the file has lost two of five
    found = doubts(wrong, play(Replayed(wrong), 0), 20)
    assert [one.figure for one in found] == ["mean wait", "service level"]
    assert "queue 'q' from hour" in found[0].where
    assert found[0].replayed > found[0].real


def test_the_same_people_meet_the_change() -> None:
    """Nothing changes where the change touches nothing; one worker more only shortens waits."""
    source = Replayed(day())
    same = {"queues": {"q": {"name": "another"}}}
    assert play(source, 3, same).assignments == play(source, 3).assignments
    more = {"workers": {"add": [{"id": "x", "resource": worker(french=True), "from": "08:30", "to": "10:00"}]}}
    before = [figures(play(source, number), 20) for number in range(3)]
    after = [figures(play(source, number, more), 20) for number in range(3)]
    mean = ("all", "")
    assert all(other[mean]["meanWait"] < one[mean]["meanWait"] for one, other in zip(before, after, strict=True))
    assert estimates(before)[mean]["p80"].half > 0


def test_a_relaxed_skill_is_served_by_others() -> None:
    relaxed = {"jobs": {"selectors": [{"key": "french", "expiresAfterSeconds": 1}]}}
    before, after = play(Replayed(day()), 0), play(Replayed(day()), 0, relaxed)

    def by_others(played: Any) -> int:
        skilled = {one.job_id for one in played.outcomes.values() if one.skill != "-"}
        return sum(job in skilled and who.startswith("plain") for job, who, _ in played.assignments)

    assert by_others(before) == 0
    assert by_others(after) > 0


def test_who_was_served_and_came_back_leaves_then() -> None:
    """Nobody is there when it comes back, and the customer goes before somebody is."""
    offer = {"workerId": "w", "offerId": "o1"}
    lived = one_job(
        at(10, "queued"),
        at(10, "offered", **offer),
        at(10, "accepted", **offer),
        at(20, "unassigned"),
        at(25, "cancelled"),
    )
    leaves = json.loads(lived[3])
    leaves["entries"] = [at(15, "unavailable"), at(30, "available")]
    lived[3] = json.dumps(leaves)
    played = play(Replayed(parse(lived, "day.ndjson")), 0)
    assert played.assignments == [("j", "w", 600.0)]
    assert not played.outcomes["j"].abandoned, "it has been served"


@pytest.mark.parametrize("replication", [0, 1])
def test_what_was_not_done_at_the_end_of_the_day_lasts_until_then(replication: int) -> None:
    """Its worker has no hand free for those who waited still."""
    offer = {"workerId": "w", "offerId": "o1"}
    lived = one_job(at(12, "queued"), at(12, "offered", **offer), at(13, "accepted", **offer))
    done = one_job(
        at(10, "queued"), at(10, "offered", **offer), at(10, "accepted", **offer), at(12, "completed"), at(12, "closed")
    )
    waits = one_job(at(20, "queued"))
    given = [*done, *(line.replace('"j"', f'"{id}"') for line, id in ((lived[4], "k"), (waits[4], "l")))]
    found = parse(given, "f")
    played = play(Replayed(found), replication)
    within = [job for job, _, second in played.assignments if second < 3600]
    assert within == ["j", "k"], "one of two minutes, one that goes on"
    if not replication:
        assert doubts(found, played, 20) == []


def test_an_offer_that_came_long_after_all_that_it_follows_from_is_told() -> None:
    offer = {"workerId": "w", "offerId": "o1"}
    prompt = one_job(at(10, "queued"), at(10, "offered", **offer), at(11, "accepted", **offer), at(13, "closed"))
    follows = one_job(at(11, "queued"), at(13, "offered", **offer), at(13, "accepted", **offer))
    given = [*prompt, follows[4].replace('"j"', '"k"')]
    assert lateness(parse(given, "f")) is None, "its worker was done just then"
    late = [*prompt, given[-1].replace("08:13", "08:14")]
    told = lateness(parse(late, "f"))
    assert told is not None
    assert told.startswith("1 of 2 offers were made 60.0 s on average after the last thing that happened to")
    became_free = json.loads(late[3]) | {"entries": [at(14, "available")]}
    assert lateness(parse([*late[:3], json.dumps(became_free), *late[4:]], "f")) is None


def test_a_report_of_a_candidate_says_that_offers_came_late() -> None:
    offer = {"workerId": "w", "offerId": "o1"}
    given = one_job(at(10, "queued"), at(12, "offered", **offer), at(13, "accepted", **offer), at(14, "closed"))
    given[1] = given[1].replace(
        '{"distributionPolicyId": "d"}', '{"distributionPolicyId": "d", "labels": {"shadowPolicyId": "e"}}'
    )
    given.insert(3, given[2].replace('"id": "d"', '"id": "e"'))
    (found,) = verdicts(parse(given, "f"), {}, 20)
    assert "; 1 of 1 offers were made 120.0 s on average after" in found["notPredicted"]


def test_no_offer_of_a_day_that_was_replayed_came_late() -> None:
    assert lateness(day()) is None


def test_declines_expiries_and_leaving() -> None:
    offer = {"workerId": "w", "offerId": "o1"}
    declined = one_job(at(10, "queued"), at(10, "offered", **offer), at(11, "declined", **offer))
    played = play(Replayed(parse(declined, "f")), 0)
    assert played.assignments == [], "the only worker has declined"
    left = one_job(at(10, "queued"), at(13, "cancelled"))
    busy = [line for line in left if '"worker"' not in line]
    outcome = play(Replayed(parse(busy, "f")), 0).outcomes["j"]
    assert (outcome.abandoned, outcome.waited) == (True, 180)
    back = one_job(
        at(10, "queued"),
        at(10, "offered", **offer),
        at(11, "accepted", **offer),
        at(15, "unassigned"),
        at(15, "offered", workerId="w", offerId="o2"),
        at(16, "accepted", workerId="w", offerId="o2"),
        at(20, "closed"),
    )
    played = play(Replayed(parse(back, "f")), 0)
    assert [(job, who) for job, who, _ in played.assignments] == [("j", "w"), ("j", "w")]
    assert played.outcomes["j"].waited == 60


def test_an_expired_offer_makes_its_worker_unavailable() -> None:
    offer = {"workerId": "w", "offerId": "o1"}
    given = one_job(at(10, "queued"), at(10, "offered", **offer), at(12, "expired", **offer))
    given[3] = json.dumps(json.loads(given[3]) | {"entries": [at(12, "unavailable"), at(20, "available")]})
    given.append(given[4].replace('"j"', '"k"').replace("08:1", "08:3"))
    played = play(Replayed(parse(given, "f")), 0)
    assert [(job, second) for job, _, second in played.assignments] == [("j", 1200.0)]


@pytest.mark.parametrize(
    ("trigger", "second"),
    [({"kind": "waitTime", "thresholdSeconds": 30}, 30.0), ({"kind": "queueLength", "threshold": 1}, 0.0)],
)
def test_exception_rules_of_a_change(trigger: dict[str, Any], second: float) -> None:
    """A job that would wait for nobody is moved to a queue that has a worker."""
    given = one_job(at(10, "queued"))
    first = given[4].replace('"id": "j"', '"id": "i"')
    given = [*given[:3], first, given[4]]
    action = {"kind": "manualReclassify", "queueId": "other", "priority": 7}
    change = {
        "queues": {"other": {"distributionPolicyId": "d"}, "q": {"exceptionPolicyId": "e"}},
        "exceptionPolicies": {"e": {"exceptionRules": [{"id": "r", "trigger": trigger, "actions": [action]}]}},
        "workers": {"add": [{"id": "w", "resource": {**worker(), "queues": ["other"], "capacity": 9}}]},
    }
    played = play(Replayed(parse(given, "f")), 0, change)
    assert play(Replayed(parse(given, "f")), 0).assignments == []
    moved = {job: at - 600 for job, _, at in played.assignments}
    assert moved["j"] == second
    assert played.outcomes["j"].queue_id == "other"


def test_what_cannot_be_decided_again_is_refused() -> None:
    scoring = {"mode": {"kind": "bestWorker", "scoringRule": {"kind": "static", "value": 1}}}
    with pytest.raises(NotReplayable, match="'d' has a scoring rule"):
        play(Replayed(day()), 0, {"distributionPolicies": {"d": scoring}})
    rule = {
        "id": "r",
        "trigger": {"kind": "waitTime", "thresholdSeconds": 30},
        "actions": [{"kind": "reclassify", "classificationPolicyId": "c"}],
    }
    unused = {"exceptionPolicies": {"e": {"exceptionRules": [rule]}}}
    with pytest.raises(NotReplayable, match="rule 'r'"):
        play(Replayed(day()), 0, {"queues": {"q": {"exceptionPolicyId": "e"}}, **unused})
    assert play(Replayed(day()), 0, unused).assignments, "no job meets it"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"team": {}}, "no 'team'"),
        ({"workers": {"remove": ["nobody"]}}, "worker 'nobody'"),
        ({"workers": {"add": [{"id": "plain-1", "resource": worker()}]}}, "there already"),
        ({"workers": {"add": [{"id": "x", "resource": worker(), "from": "25:00"}]}}, "'25:00' is no time"),
        ({"queues": {"q": {"distributionPolicyId": 5}}}, "change: "),
        ({"queues": []}, "cannot be read"),
    ],
)
def test_a_bad_change_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        changed(day(), change)


def test_a_team_changes_by_patch_and_shift() -> None:
    found = changed(
        day(),
        {
            "workers": {
                "remove": ["plain-1"],
                "change": {"plain-2": {"labels": {"french": True}}},
                "shifts": {"plain-3": [{"from": "08:00", "to": "09:00"}, {"from": "10:00", "to": "10:30"}]},
            }
        },
    )
    assert "plain-1" not in found.workers
    assert found.workers["plain-2"].resource.labels == {"french": True}
    assert [one.what for one in found.workers["plain-3"].entries] == ["available", "unavailable"] * 2
    assert "plain-1" in day().workers


def test_searches_are_bounded() -> None:
    for tried in (search.team(day()), search.policy(day())):
        assert 1 < len(tried) <= search.MOST
        for change, _ in tried[:3]:
            changed(day(), change)
    names = [change["name"] for change, _ in search.policy(day())]
    assert "'french' no longer asked for after 40 s" in names
    assert any("french=True" in change["name"] for change, _ in search.team(day()))


def test_lines_are_read_alike_twice() -> None:
    assert lines() == lines()


def test_occupancy_is_that_of_the_workers_who_could() -> None:
    """One of two workers speaks French and is busy for half an hour of the hour; the other one has nothing to do."""
    offer = {"workerId": "w", "offerId": "o1"}
    french = {"key": "french", "labelOperator": "equal", "value": True}
    given = one_job(
        at(10, "queued"),
        at(10, "offered", **offer),
        at(10, "accepted", **offer),
        at(40, "closed"),
        requestedWorkerSelectors=[french],
    )
    other = {**worker(), "queues": ["q", "more"], "availableForOffers": True}
    for id, labels in (("w", {"french": True}), ("x", {})):
        document = {"kind": "worker", "id": id, "resource": {**other, "labels": labels}}
        entries = [at(0, "available"), at(50, "unavailable")]
        given = [line for line in given if f'"id": "{id}"' not in line]
        given.append(json.dumps({**document, "entries": entries}))
    found = figures(play(Replayed(parse(given, "f")), 0), 20)
    assert found["all", ""]["occupancy"] == pytest.approx(30)
    assert found["channel", "voice"]["occupancy"] == pytest.approx(30)
    assert found["skill", "french=True"]["occupancy"] == pytest.approx(60)
    assert found["skill and hour", "french=True, 00"]["occupancy"] == pytest.approx(60)
    assert found["queue and hour", "q, 00"]["serviceLevel"] == 100
    assert found["channel and hour", "voice, 00"]["meanWait"] == 0


def test_occupancy_is_that_of_the_day() -> None:
    """What is left of it after its end, and who would have gone much later, does not count."""
    patient = profile()
    patient["jobs"] = [{**one, "patienceSeconds": 100_000} for one in patient["jobs"]]
    found = figures(play(Generated(patient), 0), 20)
    by_hour = [values["occupancy"] for (name, _), values in found.items() if name == "hour"]
    assert len(by_hour) == 3
    assert found["all", ""]["occupancy"] == pytest.approx(sum(by_hour) / 3), "everybody is there all the time"


def test_who_waits_until_the_end_puts_no_day_in_doubt() -> None:
    """How long they would have stayed nobody knows: it is drawn, and counts for nothing that the day tells."""
    offer = {"workerId": "w", "offerId": "o"}
    file = one_job(at(10, "queued"), at(10, "offered", **offer), at(11, "accepted", **offer), at(12, "closed"))
    nobody = {"key": "klingon", "labelOperator": "equal", "value": True}
    created = {"queueId": "q", "channelId": "voice", "createdAt": "2026-01-05T08:20:00Z"}
    for id, entries in (("left", [at(20, "queued"), at(21, "cancelled")]), ("waits", [at(20, "queued")])):
        resource = {**created, "requestedWorkerSelectors": [nobody]}
        file.append(json.dumps({"kind": "job", "id": id, "resource": resource, "entries": entries}))
    found = parse(file, "f")
    played = play(Replayed(found), 0)
    assert (played.outcomes["waits"].waited or 0) > 40 * 60
    assert doubts(found, played, 20) == []


def seconds_past_eight(seconds: float) -> str:
    return (datetime(2026, 1, 5, 8, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat()


def test_the_routers_tenths_do_not_add_up() -> None:
    """One worker who is never idle: each job's offer came 0.3 s after the end of the one before."""
    file, second = one_job(at(0, "queued"))[:-1], 0.0
    for number in range(60):
        offer = {"workerId": "w", "offerId": f"o{number}"}
        times = {"queued": 0.0, "offered": second + 0.3, "accepted": second + 5, "closed": second + 50}
        entries = [{"at": seconds_past_eight(when), "what": what, **offer} for what, when in times.items()]
        resource = {"queueId": "q", "channelId": "voice", "createdAt": seconds_past_eight(0)}
        file.append(json.dumps({"kind": "job", "id": f"j{number:02}", "resource": resource, "entries": entries}))
        second += 50
    played = play(Replayed(parse(file, "f")), 0)
    assert [when for _, _, when in played.assignments] == [pytest.approx(50 * n + 5) for n in range(60)]


def test_a_rule_that_is_overdue_when_the_job_comes_back_fires_at_the_next_whole_second() -> None:
    one, other = {"workerId": "w", "offerId": "o"}, {"workerId": "w2", "offerId": "o2"}
    file = one_job(
        at(10, "queued"),
        at(10, "offered", **one),
        at(10, "accepted", **one),
        {"at": "2026-01-05T08:12:00.3Z", "what": "unassigned"},
        {"at": "2026-01-05T08:12:01.02Z", "what": "offered", **other},
        {"at": "2026-01-05T08:12:01.1Z", "what": "accepted", **other},
        at(20, "closed"),
    )
    rule = {
        "id": "late",
        "trigger": {"kind": "waitTime", "thresholdSeconds": 60},
        "actions": [{"kind": "manualReclassify", "queueId": "q2"}],
    }
    resources = {
        ("exceptionPolicy", "e"): {"exceptionRules": [rule]},
        ("queue", "q2"): {"distributionPolicyId": "d"},
        ("worker", "w2"): {**worker(), "queues": ["q2"], "availableForOffers": True},
    }
    file[1] = json.dumps(
        {"kind": "queue", "id": "q", "resource": {"distributionPolicyId": "d", "exceptionPolicyId": "e"}}
    )
    file[3] = json.dumps({**json.loads(file[3]), "entries": [at(11, "unavailable")]})
    file += [json.dumps({"kind": kind, "id": id, "resource": found}) for (kind, id), found in resources.items()]
    played = play(Replayed(parse(file, "f")), 0)
    assert played.assignments == [("j", "w", 600.0), ("j", "w2", pytest.approx(721.1))]


def test_a_new_job_has_its_offers_before_the_rules_of_its_queues_length() -> None:
    """Round robin goes on behind the worker who had the first offer, as with the services."""
    rule = {
        "id": "long",
        "trigger": {"kind": "queueLength", "threshold": 1},
        "actions": [{"kind": "manualReclassify", "priority": 5}],
    }
    policy = {"offerExpiresAfterSeconds": 90, "mode": {"kind": "roundRobin"}}
    file = one_job(at(10, "queued"), at(11, "cancelled"))
    nobody = {"key": "klingon", "labelOperator": "equal", "value": True}
    waits = {"queueId": "q", "channelId": "voice", "createdAt": "2026-01-05T08:05:00Z"}
    file[1] = json.dumps(
        {"kind": "queue", "id": "q", "resource": {"distributionPolicyId": "d", "exceptionPolicyId": "e"}}
    )
    file[2] = json.dumps({"kind": "distributionPolicy", "id": "d", "resource": policy})
    resources = {
        ("exceptionPolicy", "e"): {"exceptionRules": [rule]},
        ("worker", "w2"): {**worker(), "availableForOffers": True},
        ("job", "a"): {**waits, "requestedWorkerSelectors": [nobody]},
    }
    entries = {"a": [at(5, "queued")]}
    for (kind, id), found in resources.items():
        file.append(json.dumps({"kind": kind, "id": id, "resource": found, "entries": entries.get(id, [])}))
    played = play(Replayed(parse(file, "f")), 0)
    assert [worker_id for job_id, worker_id, _ in played.assignments] == ["w2"]
