"""When exception rules fire, and what their actions do."""

from __future__ import annotations

from typing import Any

import pytest

from router.engine import exceptions
from router.engine.change import JobChange
from router.engine.evolve import evolve, move
from router.models.jobs import JobRecord, JobStatus
from router.models.policies import ExceptionPolicy
from tests.unit.engine.engine_records import NOW, after, events, job, later, offer, offered, selector


def policy(*rules: tuple[str, dict[str, Any]], actions: list[dict[str, Any]] | None = None) -> ExceptionPolicy:
    return ExceptionPolicy.model_validate(
        {"exceptionRules": [{"id": id, "trigger": trigger, "actions": actions or []} for id, trigger in rules]}
    )


def length(threshold: int) -> dict[str, Any]:
    return {"kind": "queueLength", "threshold": threshold}


def wait(seconds: float) -> dict[str, Any]:
    return {"kind": "waitTime", "thresholdSeconds": seconds}


MIXED = policy(("l2", length(2)), ("w5", wait(5)), ("l10", length(10)), ("w9", wait(9)))


class TestWhenTheyFire:
    @pytest.mark.parametrize(
        ("ahead", "fired"), [(0, []), (1, []), (2, ["l2"]), (9, ["l2"]), (10, ["l2", "l10"]), (99, ["l2", "l10"])]
    )
    def test_queue_length_counts_the_jobs_ahead(self, ahead: int, fired: list[str]) -> None:
        """Threshold 10: the eleventh job."""
        assert [rule.id for rule in exceptions.length_rules(MIXED, ahead)] == fired

    def test_how_many_must_be_counted(self) -> None:
        assert exceptions.length_threshold(MIXED) == 10
        assert exceptions.length_threshold(policy(("w", wait(1)))) is None

    def test_wait_time_counts_from_the_enqueueing(self) -> None:
        assert exceptions.wait_deadlines(MIXED, NOW) == [("w5", later(5)), ("w9", later(9))]
        assert exceptions.wait_deadlines(policy(("w", wait(0.5))), NOW) == [("w", later(0.5))]

    def test_waits_that_are_over(self) -> None:
        def due(record: JobRecord, seconds: float) -> list[str]:
            return [rule.id for rule in exceptions.wait_rules_due(MIXED, record, later(seconds))]

        assert [due(job(), seconds) for seconds in (4.9, 5, 9)] == [[], ["w5"], ["w5", "w9"]]
        assert due(job(routing={"fired_rules": ["w5"]}), 9) == ["w9"]
        for status in JobStatus:
            if status is not JobStatus.QUEUED:
                assert due(job(status), 9) == []

    def test_once_a_stay(self) -> None:
        change = exceptions.trigger(job(), "p", MIXED.exception_rules[:2], NOW)
        assert events(change) == ["JobExceptionTriggered", "JobExceptionTriggered"]
        assert [event.data["ruleKey"] for event in change.events] == ["l2", "w5"]
        record = after(change)
        assert [(one.rule_id, one.policy_id) for one in record.routing.triggered] == [("l2", "p"), ("w5", "p")]
        again = exceptions.trigger(record, "p", MIXED.exception_rules[:3], NOW)
        assert [event.data["exceptionRuleId"] for event in again.events] == ["l10"]
        assert exceptions.trigger(record, "p", MIXED.exception_rules[:1], NOW).record is record
        assert not exceptions.trigger(job(JobStatus.ASSIGNED), "p", MIXED.exception_rules, NOW).events

    def test_a_job_that_goes_in_a_circle_is_stopped(self) -> None:
        """Two queues whose rules send it to each other: each is a new stay."""
        rules = policy(("r", length(1))).exception_rules
        record, fired = job(), 0
        for step in range(100):
            change = exceptions.trigger(record, "p", rules, later(step * 0.01))
            fired += len(change.events)
            record = after(change)
            stay = record.routing.stay + 1
            record = evolve(record, routing={"stay": stay, "fired_rules": [], "triggered": []})
        assert fired == exceptions.MOST_STAYS
        assert len(record.job.notes) == 100 - fired
        assert "'r' of policy 'p' was not run: rules have fired in 20 stays" in record.job.notes[0].message
        assert len(exceptions.trigger(record, "p", rules, later(100)).events) == 1, "a minute later it may go on"

    def test_as_many_rules_as_a_policy_has_may_fire_in_one_stay(self) -> None:
        rules = policy(*((f"r{n}", wait(n + 1)) for n in range(30))).exception_rules
        record, fired = job(), 0
        for step in range(30):
            change = exceptions.trigger(record, "p", rules[: step + 1], later(step))
            fired += len(change.events)
            record = after(change)
        assert (fired, record.job.notes) == (30, [])


def run(record: JobRecord, *actions: dict[str, Any], seconds: float = 100) -> JobChange:
    """The actions of a rule that has fired."""
    rules = policy(("r", length(1)), actions=list(actions)).exception_rules
    fired = after(exceptions.trigger(record, "p", rules, NOW))
    change = exceptions.run(fired, "r", rules[0].actions, later(seconds))
    classifying = after(change).status is JobStatus.PENDING_CLASSIFICATION
    assert classifying or not after(change).routing.triggered
    assert exceptions.run(after(change), "r", rules[0].actions, later(seconds)).record is change.record, "once"
    return change


class TestActions:
    def test_cancel(self) -> None:
        change = run(offered(offer()), {"kind": "cancel", "note": "too long", "dispositionCode": "Long"})
        assert events(change) == ["WorkerOfferRevoked", "JobCancelled"]
        record = after(change)
        assert (record.status, record.job.disposition_code) == (JobStatus.CANCELLED, "Long")
        assert [(note.message, note.added_at) for note in record.job.notes] == [("too long", later(100))]
        assert after(run(job(), {"kind": "cancel"})).job.disposition_code == "Cancelled"

    def test_reclassify_with_a_policy(self) -> None:
        action = {"kind": "reclassify", "classificationPolicyId": "p2", "labelsToUpsert": {"a": 2, "c": 3}}
        change = run(offered(offer(), labels={"a": 1, "b": 1}, classification_policy_id="p"), action)
        assert events(change) == ["WorkerOfferRevoked"]
        record = after(change)
        assert (record.status, record.job.classification_policy_id) == (JobStatus.PENDING_CLASSIFICATION, "p2")
        assert record.job.labels == {"a": 2, "b": 1, "c": 3}
        assert record.job.enqueued_at == NOW

    def test_reclassify_with_the_jobs_own(self) -> None:
        record = after(run(job(classification_policy_id="p"), {"kind": "reclassify"}))
        assert (record.status, record.job.classification_policy_id) == (JobStatus.PENDING_CLASSIFICATION, "p")

    def test_reclassify_without_any(self) -> None:
        change = run(job(), {"kind": "reclassify", "labelsToUpsert": {"a": 1}})
        assert (after(change).status, after(change).job.labels, events(change)) == (JobStatus.QUEUED, {"a": 1}, [])

    def test_by_hand(self) -> None:
        action = {
            "kind": "manualReclassify",
            "priority": 7,
            "workerSelectors": [{"key": "b", "labelOperator": "equal", "value": 2, "expiresAfterSeconds": 150}],
        }
        change = run(offered(offer(), requested_worker_selectors=[selector("a", "equal", 1)]), action)
        assert events(change) == ["WorkerOfferRevoked", "JobQueued"]
        record = after(change).job
        assert (record.queue_id, record.priority, record.enqueued_at) == ("q", 7, NOW)
        assert [(one.key, one.expires_at) for one in record.requested_worker_selectors] == [
            ("a", None),
            ("b", later(150)),
        ]

    def test_selectors_that_it_asks_for_already_are_not_added_again(self) -> None:
        one = {"key": "b", "labelOperator": "equal", "value": 2}
        other = {**one, "value": 2.5}
        action = {"kind": "manualReclassify", "workerSelectors": [one, other]}
        record = after(run(after(run(job(), action)), action)).job
        assert [selector.value for selector in record.requested_worker_selectors] == [2, 2.5]

    def test_no_more_selectors_than_a_job_may_have(self) -> None:
        """A row that could not be read again would be lost."""
        added = [{"key": f"b{n}", "labelOperator": "equal", "value": "x" * 200} for n in range(60)]
        action = {"kind": "manualReclassify", "workerSelectors": added}
        record = after(run(job(requested_worker_selectors=[selector(f"a{n}", "equal", 1) for n in range(50)]), action))
        assert len(record.job.requested_worker_selectors) == 100
        assert "b50 = x" in record.job.notes[-1].message
        assert JobRecord.model_validate_json(record.model_dump_json(by_alias=True)) == record

    def test_no_more_labels_than_a_job_may_have(self) -> None:
        action = {"kind": "reclassify", "labelsToUpsert": {"a0": 2, "b": 1, "c": 1}}
        record = after(run(job(labels={f"a{n}": 1 for n in range(99)}), action))
        assert (len(record.job.labels), record.job.labels["a0"], record.job.labels["b"]) == (100, 2, 1)
        assert record.job.notes[-1].message.endswith("at most 100: c.")
        assert JobRecord.model_validate_json(record.model_dump_json(by_alias=True)) == record

    def test_by_hand_to_another_queue(self) -> None:
        change = run(job(), {"kind": "manualReclassify", "queueId": "other"})
        record = after(change)
        assert (record.job.queue_id, record.job.enqueued_at, record.job.priority) == ("other", later(100), 1)
        assert record.routing.fired_rules == [], "another stay: its rules are new"
        same = after(run(job(), {"kind": "manualReclassify", "queueId": "q"}))
        assert (same.job.enqueued_at, same.routing.fired_rules) == (NOW, ["r"])

    def test_in_order_each_sees_what_the_one_before_left(self) -> None:
        actions: list[dict[str, Any]] = [
            {"kind": "manualReclassify", "priority": 3},
            {"kind": "reclassify", "classificationPolicyId": "p2"},
            {"kind": "cancel", "dispositionCode": "Gone"},
            {"kind": "manualReclassify", "priority": 9},
        ]
        change = run(job(), *actions)
        assert events(change) == ["JobQueued"]
        record = after(change)
        assert (record.status, record.job.priority) == (JobStatus.PENDING_CLASSIFICATION, 3)
        rules = policy(("r", length(1)), actions=actions).exception_rules
        assert exceptions.run(record, "r", rules[0].actions, NOW).record is record, "first it is classified"
        assert [one.next_action for one in record.routing.triggered] == [2]
        classified = evolve(move(record, JobStatus.QUEUED), job={"priority": 7, "enqueued_at": NOW})
        change = exceptions.run(classified, "r", rules[0].actions, NOW)
        assert events(change) == ["JobCancelled"]
        record = after(change)
        assert (record.status, record.job.priority) == (JobStatus.CANCELLED, 7)
        assert (record.job.disposition_code, record.routing.triggered) == ("Gone", [])

    @pytest.mark.parametrize("status", [JobStatus.ASSIGNED, JobStatus.CANCELLED, JobStatus.WAITING_FOR_ACTIVATION])
    def test_a_job_that_no_longer_waits_is_left_alone(self, status: JobStatus) -> None:
        rules = policy(("r", length(1)), actions=[{"kind": "cancel"}, {"kind": "manualReclassify", "priority": 3}])
        fired = after(exceptions.trigger(job(), "p", rules.exception_rules, NOW)).routing.triggered
        change = exceptions.run(job(status, routing={"triggered": fired}), "r", rules.exception_rules[0].actions, NOW)
        assert (after(change).status, events(change)) == (status, [])
        assert after(change).job == job(status).job

    def test_a_rule_that_is_gone_does_nothing(self) -> None:
        rules = policy(("r", length(1))).exception_rules
        fired = after(exceptions.trigger(job(), "p", rules, NOW))
        change = exceptions.run(fired, "r", [], NOW)
        assert (after(change).job, after(change).routing.triggered, events(change)) == (job().job, [], [])


@pytest.mark.parametrize(
    ("action", "named"),
    [
        ({"kind": "manualReclassify", "queueId": "gone"}, ("Queue", "gone")),
        ({"kind": "reclassify", "classificationPolicyId": "gone"}, ("ClassificationPolicy", "gone")),
    ],
)
def test_an_action_that_names_what_is_gone_is_left_out_with_a_note(
    action: dict[str, Any], named: tuple[str, str]
) -> None:
    actions = policy(("r", wait(1)), actions=[action, {"kind": "manualReclassify", "priority": 9}])
    rule = actions.exception_rules[0]
    record = after(exceptions.trigger(job(), "p", [rule], NOW))
    left = after(exceptions.run(record, "r", rule.actions, NOW, gone=[named]))
    assert (left.status, left.job.queue_id, left.job.priority) == (JobStatus.QUEUED, "q", 9)
    assert "'gone' is not there" in left.job.notes[0].message
    assert exceptions.names(rule.actions[1]) is None
