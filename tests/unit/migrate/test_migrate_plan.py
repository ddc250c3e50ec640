"""The plan that two snapshots lead to, the secrets in it, and the state file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from router.migrate import check, plan, report, snapshot
from router.migrate.failure import MigrationError
from router.migrate.journal import Journal
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, JOB, KINDS, QUEUE, WORKER, Kind
from router.migrate.plan import Action
from router.migrate.secrets import Secrets
from router.migrate.snapshot import Snapshot

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
MODE = {"kind": "longestIdle"}


def side(**items: list[dict[str, Any]]) -> Snapshot:
    by_name = {kind.path: kind for kind in KINDS}
    found: Snapshot = {kind: {} for kind in KINDS}
    for path, documents in items.items():
        found[by_name[path]] = {one["id"]: one for one in documents}
    return found


def waiting(id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "status": "queued",
        "channelId": "c",
        "queueId": "q",
        "priority": 1,
        "enqueuedAt": "2024-05-01T11:00:00Z",
        "matchingMode": {"kind": "queueAndMatch"},
        **fields,
    }


def made(source: Snapshot, target: Snapshot, **options: Any) -> plan.Plan:
    secrets = options.pop("secrets", Secrets())
    done = options.pop("done", frozenset())
    return plan.make(source, target, secrets, done, NOW, **options)


def actions(found: plan.Plan, kind: Kind) -> dict[str, Action]:
    return {step.id: step.action for step in found.steps[kind]}


def test_create_same_and_leave() -> None:
    source = side(queues=[{"id": name, "name": name, "distributionPolicyId": "d"} for name in ("new", "same", "other")])
    target = side(
        queues=[
            {"id": "same", "name": "same", "distributionPolicyId": "d", "labels": {"Id": "same"}},
            {"id": "other", "name": "changed", "distributionPolicyId": "d", "exceptionPolicyId": "added"},
        ]
    )
    found = made(source, target)
    assert actions(found, QUEUE) == {"new": Action.CREATE, "same": Action.SAME, "other": Action.LEAVE}
    forced = made(source, target, overwrite=True)
    written = next(step for step in forced.steps[QUEUE] if step.id == "other")
    assert written.action is Action.UPDATE
    assert written.body["exceptionPolicyId"] is None, "what only the target has is removed"
    assert written.body["name"] == "other"


def test_labels_that_have_names_of_settings_are_seen_and_made_equal() -> None:
    def queue(**labels: Any) -> dict[str, Any]:
        return {"id": "q", "distributionPolicyId": "d", "labels": labels}

    source = side(queues=[queue(priority=1, functionKey="a", language="powerFx", kind="x")])
    target = side(queues=[queue(functionKey="b", kind="y", expedite=False)])
    paths = tuple(f"labels.{name}" for name in ("expedite", "functionKey", "kind", "language", "priority"))
    assert check.compare(source, target, frozenset(), NOW).differing[QUEUE] == {"q": list(paths)}
    assert [(step.action, step.differs) for step in made(source, target).steps[QUEUE]] == [(Action.LEAVE, paths)]
    (step,) = made(source, target, overwrite=True).steps[QUEUE]
    wanted = {"priority": 1, "functionKey": "a", "language": "powerFx", "kind": "x", "expedite": None}
    assert (step.action, step.body["labels"]) == (Action.UPDATE, wanted)


def test_a_static_value_is_made_equal_whatever_its_names() -> None:
    def policy(value: Any) -> dict[str, Any]:
        return {"id": "p", "prioritizationRule": {"kind": "static", "value": value}}

    source = side(classificationPolicies=[policy({"kind": "x", "deep": {"kind": "x"}})])
    target = side(classificationPolicies=[policy({"kind": "y", "old": 1, "deep": {"kind": "y", "old": 1}})])
    (step,) = made(source, target, overwrite=True).steps[CLASSIFICATION]
    wanted = {"kind": "x", "old": None, "deep": {"kind": "x", "old": None}}
    assert step.body["prioritizationRule"]["value"] == wanted


def test_a_job_whose_label_has_the_name_of_a_time_is_compared() -> None:
    source, target = (side(jobs=[waiting("j", labels={"scheduleAt": soon})]) for soon in ("soon", "later"))
    assert actions(made(source, source), JOB) == {"j": Action.SAME}
    assert actions(made(source, target), JOB) == {"j": Action.LEAVE}
    assert check.compare(source, target, frozenset(), NOW).differing[JOB] == {"j": ["labels.scheduleAt"]}


def test_jobs_that_do_not_wait_stay_and_waiting_ones_go_in_order() -> None:
    source = side(
        jobs=[
            waiting("second", enqueuedAt="2024-05-01T11:00:02Z"),
            waiting("first", enqueuedAt="2024-05-01T11:00:01Z"),
            waiting("served", status="assigned"),
            waiting("failed", status="classificationFailed"),
            waiting("raw", status="pendingClassification", classificationPolicyId="p", enqueuedAt=None, queueId=None),
        ]
    )
    found = made(source, side())
    lanes = [(step.id, step.lane) for step in found.steps[JOB]]
    assert lanes == [("first", "q 1 -1"), ("second", "q 1 -1"), ("raw", None)]
    for status in ("assigned", "classificationFailed"):
        assert [reason for reason in found.notes if status in reason], status


def test_a_job_that_a_killed_run_left_suspended_is_queued_and_a_moved_one_never_written_again() -> None:
    source = side(jobs=[waiting("left"), waiting("gone"), waiting("changed"), waiting("served")])
    target = side(
        jobs=[
            waiting("left", status="waitingForActivation", matchingMode={"kind": "suspend"}),
            waiting("changed", status="waitingForActivation", matchingMode={"kind": "suspend"}, priority=5),
            waiting("served", status="assigned", priority=5),
        ]
    )
    found = made(source, target, done=frozenset({"gone"}))
    assert actions(found, JOB) == {
        "left": Action.QUEUE,
        "gone": Action.SAME,
        "changed": Action.LEAVE,
        "served": Action.SAME,
    }


def test_a_job_that_was_left_suspended_and_is_served_on_the_source_meanwhile_is_told() -> None:
    target = side(jobs=[waiting(id, status="waitingForActivation", matchingMode={"kind": "suspend"}) for id in "abc"])
    source = side(jobs=[waiting("a"), waiting("b", status="assigned")])
    found = made(source, target, left=frozenset("abc"))
    (told,) = [ids for reason, ids in found.notes.items() if "cancel it" in reason]
    assert told == ["Job b", "Job c"]


def test_a_queue_length_rule_that_will_fire_is_told() -> None:
    policy = {
        "id": "e",
        "exceptionRules": [{"id": "r", "trigger": {"kind": "queueLength", "threshold": 2}, "actions": []}],
    }
    source = side(
        exceptionPolicies=[policy],
        queues=[{"id": "q", "distributionPolicyId": "d", "exceptionPolicyId": "e"}],
        jobs=[waiting(str(number)) for number in range(3)],
    )
    assert any("queueLength" in reason for reason in made(source, side()).notes)
    source[EXCEPTION]["e"]["exceptionRules"][0]["trigger"]["threshold"] = 3
    assert not any("queueLength" in reason for reason in made(source, side()).notes)


def webhook(**credential: str) -> dict[str, Any]:
    rule = {
        "kind": "webhook",
        "webhookUri": "https://w.example/",
        "authorizationServerUri": "https://login.example/",
        "clientCredential": {"clientId": "c", **credential},
    }
    return {"id": "p", "prioritizationRule": rule}


SECRET_AT = "ClassificationPolicy/p/prioritizationRule/clientCredential/clientSecret"


def test_a_missing_secret_is_named_by_its_place_and_left_out() -> None:
    for shown in ({}, {"clientSecret": "********"}, {"clientSecret": ""}):
        found = made(side(classificationPolicies=[webhook(**shown)]), side())
        assert found.missing_secrets == [SECRET_AT]
        body = found.steps[CLASSIFICATION][0].body
        assert body["prioritizationRule"]["clientCredential"] == {"clientId": "c"}


def test_a_supplied_secret_is_written_and_an_empty_one_means_none() -> None:
    source = side(classificationPolicies=[webhook()])
    found = made(source, side(), secrets=Secrets({SECRET_AT: "s3cret"}))
    assert found.missing_secrets == []
    body = found.steps[CLASSIFICATION][0].body
    assert body["prioritizationRule"]["clientCredential"] == {"clientId": "c", "clientSecret": "s3cret"}
    assert "s3cret" not in repr(found)
    assert made(source, side(), secrets=Secrets({SECRET_AT: ""})).missing_secrets == []


def test_a_secret_that_the_target_has_is_kept() -> None:
    source = side(classificationPolicies=[webhook() | {"name": "new"}])
    target = side(classificationPolicies=[webhook(clientSecret="********") | {"name": "old"}])
    found = made(source, target, overwrite=True)
    assert found.missing_secrets == []
    assert found.steps[CLASSIFICATION][0].body["prioritizationRule"]["clientCredential"]["clientSecret"] == "********"


def test_a_function_that_shows_no_credential_may_have_one() -> None:
    rule = {"kind": "function", "functionUri": "https://f.example/"}
    source = side(distributionPolicies=[{"id": "d", "mode": {"kind": "bestWorker", "scoringRule": rule}}])
    place = "DistributionPolicy/d/mode/scoringRule/credential/functionKey"
    assert made(source, side()).missing_secrets == [place]
    found = made(source, side(), secrets=Secrets({place.replace("functionKey", "appKey"): "k"}))
    assert found.missing_secrets == []
    assert found.steps[DISTRIBUTION][0].body["mode"]["scoringRule"]["credential"] == {"appKey": "k"}


def test_each_secret_that_is_shown_and_not_known_is_named() -> None:
    def policy(**credential: str) -> dict[str, Any]:
        rule = {"kind": "function", "functionUri": "https://f.example/", "credential": credential}
        return {"id": "p", "prioritizationRule": rule}

    source = side(classificationPolicies=[policy(functionKey="********", appKey="********")])
    target = side(classificationPolicies=[policy(functionKey="********")])
    place = "ClassificationPolicy/p/prioritizationRule/credential/appKey"
    assert made(source, target).missing_secrets == [place]
    assert made(source, target, secrets=Secrets({place: ""})).missing_secrets == []
    assert check.compare(source, target, frozenset(), NOW).lost_secrets == [place]


def test_the_check_lists_secrets_that_are_masked_on_the_source_and_not_on_the_target() -> None:
    masked, bare = (side(classificationPolicies=[one]) for one in (webhook(clientSecret="********"), webhook()))
    verdict = check.compare(masked, bare, frozenset(), NOW)
    assert verdict.lost_secrets == [SECRET_AT]
    assert not verdict.holds
    told = list(report.verdict_lines(verdict))
    assert f"    {SECRET_AT}" in told
    assert told[-1] == "The two sides are not equal."
    for source, target in ((masked, masked), (bare, masked), (bare, bare)):
        assert check.compare(source, target, frozenset(), NOW).holds
    assert check.compare(masked, side(), frozenset(), NOW).lost_secrets == [], "the whole policy is missing"


def test_a_secret_for_no_policy_is_told_by_its_place_and_written_nowhere() -> None:
    misspelt = SECRET_AT.replace("Rule", "Rules")
    gone = SECRET_AT.replace("/p/", "/gone/")
    source = target = side(classificationPolicies=[webhook()])
    found = made(source, target, secrets=Secrets({misspelt: "s", SECRET_AT: "", gone: "", "a/b+c/secret=": SECRET_AT}))
    assert found.unknown_secrets == [misspelt, gone, "entry 4 of the file"]
    assert actions(found, CLASSIFICATION) == {"p": Action.SAME}
    told = "\n".join(report.left_lines(found))
    assert misspelt in told
    assert "a/b+c" not in told


def test_a_secret_that_is_given_is_written_each_time() -> None:
    source, target = (side(classificationPolicies=[webhook(clientSecret=shown)]) for shown in ("", "********"))
    assert actions(made(source, target), CLASSIFICATION) == {"p": Action.SAME}
    again = made(source, target, secrets=Secrets({SECRET_AT: "s"}))
    assert actions(again, CLASSIFICATION) == {"p": Action.UPDATE}


def test_one_router_under_two_names_is_known_by_its_etags() -> None:
    def one(*etags: str | None) -> Snapshot:
        return side(queues=[{"id": str(number), "etag": etag} for number, etag in enumerate(etags)])

    assert snapshot.is_one_router(one("a", "b"), one("a", "b"))
    for other in (one("a"), one("a", "c"), one("a", "b", "c"), one(None, None), one()):
        assert not snapshot.is_one_router(one("a", "b"), other)
    assert not snapshot.is_one_router(one(), one()), "two empty ones may be two"
    assert not snapshot.is_one_router(one(None), one(None)), "what has no etags is not known"


def test_the_state_file_remembers_and_survives_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "state"
    first = Journal(path, "a", "b")
    first.open()
    first.add("job", "one")
    first.add("worker", "w")
    first.close()
    with path.open("a") as file:
        file.write('{"job": "tw')
    second = Journal(path, "a", "b")
    assert second.done == {"one"}
    assert second.activated == {"w"}
    second.open()
    for id in ("three", "four"):
        second.add("written", id)
    second.add("job", "three")
    second.close()
    third = Journal(path, "a", "b")
    assert third.done == {"one", "three"}
    assert third.left == {"four"}
    with pytest.raises(MigrationError, match="another move"):
        Journal(path, "a", "c")


def test_a_state_file_that_cannot_be_kept_is_told_before_anything_is_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "no such folder" / "state", "a", "b")
    with pytest.raises(MigrationError, match="cannot be used"):
        journal.open()


def test_a_state_file_whose_first_line_was_cut_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text('{"from": ')
    journal = Journal(path, "a", "b")
    journal.open()
    journal.add("job", "one")
    journal.close()
    assert Journal(path, "a", "b").done == {"one"}


def test_the_check_finds_what_is_missing_different_and_out_of_order() -> None:
    source = side(
        queues=[{"id": "q", "distributionPolicyId": "d"}, {"id": "r", "distributionPolicyId": "d"}],
        workers=[{"id": "w", "capacity": 1, "availableForOffers": True}],
        jobs=[waiting("a"), waiting("b", enqueuedAt="2024-05-01T11:00:05Z"), waiting("c"), waiting("d")],
    )
    target = side(
        queues=[{"id": "q", "distributionPolicyId": "d"}],
        workers=[{"id": "w", "capacity": 2}],
        jobs=[
            waiting("a", enqueuedAt="2024-05-02T11:00:05Z"),
            waiting("b", enqueuedAt="2024-05-02T11:00:01Z"),
            waiting("d", status="closed"),
        ],
    )
    verdict = check.compare(source, target, frozenset({"c"}), NOW)
    assert verdict.missing[QUEUE] == ["r"]
    assert verdict.differing[WORKER] == {"w": ["capacity"]}
    assert verdict.equal[JOB] == 2
    assert verdict.gone_on == 2
    assert verdict.disordered == ["q"]
    assert not verdict.holds
