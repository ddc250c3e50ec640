"""What a PATCH makes of a policy or a queue, and what the answer to it says, for every kind of every model."""

from __future__ import annotations

import base64
import json

import pytest
from azure.communication.jobrouter import models as sdk

from router.models.policies import ClassificationPolicy, DistributionPolicy, ExceptionPolicy
from router.models.queues import RouterQueue
from router.rules.secrets import MASK, SecretBox, seal_secrets
from router.wire.apply import (
    classification_policy_document,
    distribution_policy_document,
    exception_policy_document,
    queue_document,
)
from router.wire.documents import (
    render_classification_policy,
    render_distribution_policy,
    render_exception_policy,
    render_queue,
)
from tests.unit.wire.wire_samples import (
    EXCEPTION_POLICY,
    QUEUE_ATTACHMENTS,
    RULES,
    WORKER_ATTACHMENTS,
    guids,
    sent,
    wired,
)

RULES_ANSWERED = {
    "static": {"kind": "static", "value": 5},
    "directMap": {"kind": "directMap"},
    "expression": {"kind": "expression", "language": "powerFx", "expression": "job.x"},
    "function": {"kind": "function", "functionUri": "https://f", "credential": {"clientId": "me"}},
    "webhook": {
        "kind": "webhook",
        "webhookUri": "https://w",
        "authorizationServerUri": "https://a",
        "clientCredential": {"clientId": "me"},
    },
}


@pytest.mark.parametrize("kind", RULES)
def test_every_rule(kind: str) -> None:
    patch = sent(sdk.ClassificationPolicy(prioritization_rule=RULES[kind]))
    answer = wired(render_classification_policy("p", "e", classification_policy_document(None, patch)))
    assert answer["prioritizationRule"] == RULES_ANSWERED[kind]
    rule = sdk.ClassificationPolicy(answer).prioritization_rule
    assert type(rule) is type(RULES[kind])


@pytest.mark.parametrize("kind", ["bestWorker", "longestIdle", "roundRobin"])
def test_every_distribution_mode(kind: str) -> None:
    model: dict[str, type[sdk.DistributionMode]] = {
        "bestWorker": sdk.BestWorkerMode,
        "longestIdle": sdk.LongestIdleMode,
        "roundRobin": sdk.RoundRobinMode,
    }
    patch = sent(sdk.DistributionPolicy(name="n", mode=model[kind]()))
    document = distribution_policy_document(None, patch)
    options = {
        "scoringParameters": ["jobLabels", "workerSelectors"],
        "isBatchScoringEnabled": False,
        "descendingOrder": True,
    }
    given = {"scoringRuleOptions": options} if kind == "bestWorker" else {}
    assert wired(render_distribution_policy("d", "e", document)) == {
        "etag": '"e"',
        "id": "d",
        "name": "n",
        "offerExpiresAfterSeconds": 60,
        "mode": {"kind": kind, "minConcurrentOffers": 1, "maxConcurrentOffers": 1, "bypassSelectors": False, **given},
    }
    assert type(sdk.DistributionPolicy(document).mode) is model[kind]
    assert DistributionPolicy.model_validate(document).mode.kind == kind


def test_scoring_defaults() -> None:
    mode = sdk.BestWorkerMode(
        scoring_rule=sdk.ExpressionRouterRule(expression="1"), scoring_rule_options=sdk.ScoringRuleOptions(batch_size=5)
    )
    answer = distribution_policy_document(None, sent(sdk.DistributionPolicy(mode=mode)))
    assert answer["mode"]["scoringRule"]["language"] == "powerFx"
    assert answer["mode"]["scoringRuleOptions"] == {
        "batchSize": 5,
        "isBatchScoringEnabled": False,
        "descendingOrder": True,
        "scoringParameters": ["jobLabels", "workerSelectors"],
    }
    for given in ({"kind": "bestWorker"}, {"kind": "bestWorker", "scoringRuleOptions": {}}):
        assert distribution_policy_document(None, {"mode": given})["mode"]["scoringRuleOptions"] == {
            "isBatchScoringEnabled": False,
            "descendingOrder": True,
            "scoringParameters": ["jobLabels", "workerSelectors"],
        }, "a batch size is answered only if it was given"


def test_every_attachment() -> None:
    patch = sent(
        sdk.ClassificationPolicy(
            queue_selector_attachments=QUEUE_ATTACHMENTS, worker_selector_attachments=WORKER_ATTACHMENTS
        )
    )
    document = classification_policy_document(None, patch)
    answer = sdk.ClassificationPolicy(wired(render_classification_policy("p", "e", document)))
    assert answer.queue_selector_attachments is not None
    assert answer.worker_selector_attachments is not None
    assert [type(one) for one in answer.queue_selector_attachments] == [type(one) for one in QUEUE_ATTACHMENTS]
    assert [type(one) for one in answer.worker_selector_attachments] == [type(one) for one in WORKER_ATTACHMENTS]
    selector = {"key": "k", "labelOperator": "equal", "value": True, "expiresAfterSeconds": 5.5, "expedite": True}
    assert document["workerSelectorAttachments"][3] == {
        "kind": "static",
        "workerSelector": {**selector, "status": "active"},
    }
    assert document["queueSelectorAttachments"] == [
        {**patch["queueSelectorAttachments"][0]},
        {"kind": "passThrough", "key": "k", "labelOperator": "lessThan"},
        {"kind": "ruleEngine", "rule": RULES_ANSWERED["expression"]},
        *patch["queueSelectorAttachments"][3:],
    ]
    # The engine reads it back, and nothing is lost on the way.
    again = ClassificationPolicy.model_validate(document)
    assert classification_policy_document(None, patch) == again.model_dump(
        mode="json", by_alias=True, exclude_none=True
    )


def test_selectors_of_policies_are_active_and_never_expire() -> None:
    bare = {
        "key": "k",
        "labelOperator": "equal",
        "status": "expired",
        "expiresAt": "2023-01-01T00:00:00Z",
        "expedite": None,
    }
    patch = {"workerSelectorAttachments": [{"kind": "static", "workerSelector": bare}]}
    [attachment] = classification_policy_document(None, patch)["workerSelectorAttachments"]
    assert attachment["workerSelector"] == {
        "key": "k",
        "labelOperator": "equal",
        "expedite": False,
        "status": "active",
    }


def test_the_value_of_a_static_rule_is_untouched() -> None:
    value = [{"key": "a", "LabelOperator": "equal", "value": None, "expiresAfterSeconds": None, "X": {"y": [None]}}]
    rule = {"kind": "static", "value": value}
    patch = {"prioritizationRule": rule, "workerSelectorAttachments": [{"kind": "ruleEngine", "rule": rule}]}
    document = classification_policy_document(None, patch)
    answer = wired(render_classification_policy("p", "e", document))
    assert answer["prioritizationRule"] == rule
    assert answer["workerSelectorAttachments"] == [{"kind": "ruleEngine", "rule": rule}]
    nested = {"workerSelectorAttachments": [{"kind": "ruleEngine", "rule": {"kind": "static", "value": {"A": None}}}]}
    assert (
        classification_policy_document(document, nested)["workerSelectorAttachments"]
        == (nested["workerSelectorAttachments"])
    )


def test_collections_are_always_there() -> None:
    assert classification_policy_document(None, {}) == {
        "queueSelectorAttachments": [],
        "workerSelectorAttachments": [],
    }
    assert exception_policy_document(None, {}, guids()) == {"exceptionRules": []}
    assert queue_document(None, {"distributionPolicyId": "d"}) == {"distributionPolicyId": "d", "labels": {}}
    full = {"workerSelectorAttachments": [{"kind": "passThrough", "key": "k", "labelOperator": "equal"}], "name": "n"}
    cleared = {"workerSelectorAttachments": None, "name": None}
    assert classification_policy_document(classification_policy_document(None, full), cleared) == (
        classification_policy_document(None, {})
    )


def test_every_trigger_and_action() -> None:
    document = exception_policy_document(None, sent(EXCEPTION_POLICY), guids())
    answer = wired(render_exception_policy("x", "e", document))
    first, second = answer["exceptionRules"]
    assert first["trigger"] == {"kind": "queueLength", "threshold": 10}
    assert second["trigger"] == {"kind": "waitTime", "thresholdSeconds": 0.5}
    assert [action["kind"] for action in first["actions"]] == ["cancel", "manualReclassify", "reclassify"]
    assert first["actions"][1]["workerSelectors"] == [
        {
            "key": "k",
            "labelOperator": "equal",
            "value": True,
            "expiresAfterSeconds": 5.5,
            "expedite": True,
            "status": "active",
        }
    ]
    assert first["actions"][2]["labelsToUpsert"] == {"Key": 1}
    assert second["actions"][0] == {"kind": "manualReclassify", "id": second["actions"][0]["id"], "workerSelectors": []}
    assert second["actions"][1]["labelsToUpsert"] == {}
    ids = [action["id"] for rule in answer["exceptionRules"] for action in rule["actions"]]
    assert len(set(ids)) == 5
    seen = sdk.ExceptionPolicy(answer).exception_rules
    assert seen is not None
    for rule, expected in zip(seen, EXCEPTION_POLICY.exception_rules or [], strict=True):
        assert type(rule.trigger) is type(expected.trigger)
        assert [type(action) for action in rule.actions] == [type(action) for action in expected.actions]
    assert ExceptionPolicy.model_validate(document).exception_rules[0].actions[0].id == ids[0]


def test_action_ids_are_new_on_each_write_and_only_then() -> None:
    new_id = guids()
    document = exception_policy_document(None, sent(EXCEPTION_POLICY), new_id)
    assert exception_policy_document(document, {}, new_id) == document
    # What a client reads it may send back: that changes nothing.
    assert exception_policy_document(document, render_exception_policy("x", "e", document), new_id) == document
    flag = json.loads(json.dumps(document))
    flag["exceptionRules"][0]["actions"][2]["labelsToUpsert"]["Key"] = True
    changed = exception_policy_document(document, flag, new_id)
    assert changed["exceptionRules"][0]["actions"][2]["labelsToUpsert"]["Key"] is True
    renamed = exception_policy_document(document, {"name": "other"}, new_id)
    old = {action["id"] for rule in document["exceptionRules"] for action in rule["actions"]}
    new = {action["id"] for rule in renamed["exceptionRules"] for action in rule["actions"]}
    assert len(new) == 5
    assert not old & new


def test_queues() -> None:
    patch = sent(
        sdk.RouterQueue(name="n", distribution_policy_id="d", labels={"a": 1, "b": 1.5}, exception_policy_id="x")
    )
    document = queue_document(None, {**patch, "labels": {**patch["labels"], "Id": "forged"}})
    answer = wired(render_queue("q", "e", document))
    assert answer == {
        "etag": '"e"',
        "id": "q",
        "name": "n",
        "distributionPolicyId": "d",
        "exceptionPolicyId": "x",
        "labels": {"a": 1, "b": 1.5, "Id": "q"},
    }
    assert sdk.RouterQueue(answer).labels == answer["labels"]
    changed = queue_document(document, {"labels": {"Id": None, "a": None, "c": True}, "exceptionPolicyId": None})
    assert render_queue("q", "e", changed)["labels"] == {"b": 1.5, "c": True, "Id": "q"}
    assert "exceptionPolicyId" not in changed
    assert queue_document(document, answer) == document
    RouterQueue.model_validate(document)
    full = {str(number): number for number in range(100)}
    most = queue_document(None, {"distributionPolicyId": "d", "labels": full})
    assert queue_document(most, render_queue("q", "e", most)) == most


BOX = SecretBox(base64.b64encode(bytes(32)).decode())
FUNCTION = {
    "kind": "function",
    "functionUri": "https://f",
    "credential": {"functionKey": "s3cret", "appKey": "s3cret too", "clientId": "me"},
}
WEBHOOK = {
    "kind": "webhook",
    "webhookUri": "https://w",
    "authorizationServerUri": "https://a",
    "clientCredential": {"clientId": "me", "clientSecret": "s3cret"},
}


def test_secrets_are_never_answered_and_survive_being_sent_back() -> None:
    attachment = {"kind": "ruleEngine", "rule": FUNCTION}
    patch = {"prioritizationRule": WEBHOOK, "queueSelectorAttachments": [attachment]}
    document = seal_secrets(classification_policy_document(None, patch), BOX, "p")
    answer = wired(render_classification_policy("p", "e", document))
    assert "s3cret" not in json.dumps(answer)
    assert "sealed" not in json.dumps(answer)
    assert answer["prioritizationRule"]["clientCredential"] == {"clientId": "me", "clientSecret": MASK}
    for change in (answer, patch, {}):
        again = classification_policy_document(document, change)
        assert seal_secrets(again, BOX, "p", document) == document
    scoring = {"mode": {"kind": "bestWorker", "scoringRule": FUNCTION}}
    answer = wired(render_distribution_policy("d", "e", distribution_policy_document(None, scoring)))
    assert answer["mode"]["scoringRule"]["credential"] == {"functionKey": MASK, "appKey": MASK, "clientId": "me"}


def test_data_that_looks_like_a_secret_is_data() -> None:
    value = {"kind": "function", "credential": {"functionKey": "no secret"}}
    document = classification_policy_document(None, {"prioritizationRule": {"kind": "static", "value": value}})
    assert render_classification_policy("p", "e", document)["prioritizationRule"]["value"] == value
