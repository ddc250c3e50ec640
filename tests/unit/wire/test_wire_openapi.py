"""The OpenAPI document: complete, kept, and true of what is answered."""

from __future__ import annotations

import json
import re
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from azure.communication.jobrouter import models as sdk
from hypothesis import given, settings
from hypothesis import strategies as st

from router.api.openapi import openapi_document
from router.errors import Conflict, ErrorDetail, RouterError
from router.models import jobs, results, workers
from router.models.jobs import JobStatus
from router.models.operations import GA, OPERATIONS, PREVIEW
from router.wire import apply, documents
from tests.unit.wire import wire_samples as samples

ROOT = Path(__file__).parents[3]
DOCUMENT = json.loads(documents.json_bytes(openapi_document()))
SCHEMAS = DOCUMENT["components"]["schemas"]


@cache
def validator(name: str) -> Any:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return jsonschema_rs.validator_for(
        {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, validate_formats=True
    )


def fits(name: str, body: Any) -> None:
    """The body as it arrives fits its schema, and every property is one that the schema names."""
    arrived = json.loads(documents.json_bytes(body))
    validator(name).validate(arrived)
    known = SCHEMAS[name].get("properties")
    if known is not None:
        assert set(arrived) <= set(known)


def test_the_kept_document_is_the_generated_one() -> None:
    kept = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))
    assert kept == DOCUMENT, "run: python -m router.api.openapi > docs/openapi.json"


def test_what_it_says_can_be_read_without_the_source() -> None:
    assert not re.search(r"contract|behaviour\.md|section \d", json.dumps(DOCUMENT), re.IGNORECASE)


def test_whatever_form_an_answer_may_be_asked_for_in_is_announced() -> None:
    operations = [one for methods in DOCUMENT["paths"].values() for one in methods.values()]
    asked = {
        operation["operationId"]: {
            name
            for parameter in operation.get("parameters", ())
            if parameter.get("name") == "format"
            for name in parameter["schema"]["enum"]
        }
        for operation in operations
    }
    forms = {"application/json": "json", "text/csv": "csv"}
    for operation in operations:
        content = operation["responses"].get("200", {}).get("content", {})
        assert {forms[one] for one in content} >= asked[operation["operationId"]]
    assert {name for name, some in asked.items() if "csv" in some} >= {"GetShadowReport", "GetQueueReport"}


def test_every_operation_is_in_it_once() -> None:
    found = {
        operation["operationId"]: (method.upper(), path)
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
    }
    expected = {operation.name: (operation.method, f"/{operation.route}") for operation in OPERATIONS}
    assert found == {**expected, "Health": ("GET", "/health"), "OpenApi": ("GET", "/openapi.json")}
    assert len(expected) == len(OPERATIONS) == 43


def test_every_reference_leads_somewhere() -> None:
    for reference in set(re.findall(r'"(#/[^"]+)"', json.dumps(DOCUMENT))):
        place = DOCUMENT
        for step in reference[2:].split("/"):
            place = place[step]


def test_every_schema_is_used() -> None:
    text = json.dumps(DOCUMENT)
    assert [name for name in SCHEMAS if f'"#/components/schemas/{name}"' not in text] == []


def test_it_is_a_valid_document() -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    assert sum(1 for _ in schema.get_all_operations()) == len(OPERATIONS) + 2
    for name in SCHEMAS:
        validator(name)


def test_models_have_the_official_names() -> None:
    named = {name for name in sdk.__all__ if isinstance(getattr(sdk, name), type)}
    bases = {"DistributionMode", "ExceptionAction", "ExceptionTrigger", "JobMatchingMode", "RouterRule"}
    bases |= {"QueueSelectorAttachment", "WorkerSelectorAttachment"}
    #: Enumerations with one member each, or of query parameters: they stand where they are used.
    inline = {name for name in named if name.endswith(("Kind", "Selector")) and name not in SCHEMAS}
    inline |= {"ExpressionRouterRuleLanguage"}
    assert named - bases - inline - set(SCHEMAS) == set()


#: What a schema has beyond the official GA model (docs/behaviour.md, "Models").
BEYOND = {
    "RouterWorker": {"maxConcurrentOffers"},
    "RouterWorkerUpdate": {"maxConcurrentOffers"},
    "RouterJobPositionDetails": {"estimatedWait", "estimatedWaitUnknown"},
    "RouterQueueStatistics": {"estimatedWait", "estimatedWaitUnknown"},
}


def test_models_have_the_official_fields() -> None:
    """Every field of every official model is in its answer, and in its request unless clients cannot write it."""
    seen = set()
    for name in set(sdk.__all__) & {name.removesuffix("Update").removesuffix("Item") for name in SCHEMAS}:
        model = getattr(sdk, name)
        if issubclass(model, Enum):
            continue
        model()  # fields are known once the first one is made
        fields = {field._rest_name: field._visibility == ["read"] for field in model._attr_to_rest_field.values()}
        if name.endswith("ExceptionAction"):
            fields["id"] = True  # writable there, and replaced on each write
        writable = {field for field, read_only in fields.items() if not read_only}
        for schema, expected in ((name, set(fields)), (f"{name}Update", writable), (f"{name}Item", writable)):
            if schema in SCHEMAS:
                seen.add(schema)
                assert set(SCHEMAS[schema]["properties"]) == expected | BEYOND.get(schema, set()), schema
    assert len(seen) > 100


def test_which_fields_are_read_only() -> None:
    """As the official models say it."""
    seen = set()
    for name, schema in SCHEMAS.items():
        model = getattr(sdk, name, None)
        if model is None or name.endswith(("Update", "Item")) or issubclass(model, Enum):
            continue
        model()  # fields are known once the first one is made
        theirs = {field._rest_name for field in model._attr_to_rest_field.values() if field._visibility == ["read"]}
        ours = {key for key, value in schema["properties"].items() if value.get("readOnly")}
        if name.endswith("ExceptionAction"):
            theirs |= {"id"}  # writable there, and replaced on each write
        assert theirs == ours, name
        if theirs:
            seen.add(name)
    assert len(seen) == 12, seen


@pytest.mark.parametrize("kind", samples.RULES)
def test_answers_of_policies_are_true(kind: str) -> None:
    rule = samples.sent(samples.RULES[kind])
    scoring = {"mode": {"kind": "bestWorker", "scoringRule": rule, "scoringRuleOptions": {}}}
    fits(
        "DistributionPolicy",
        documents.render_distribution_policy("d", "e", apply.distribution_policy_document(None, scoring)),
    )
    patch = samples.sent(
        sdk.ClassificationPolicy(
            prioritization_rule=samples.RULES[kind],
            queue_selector_attachments=samples.QUEUE_ATTACHMENTS,
            worker_selector_attachments=samples.WORKER_ATTACHMENTS,
        )
    )
    validator("ClassificationPolicyUpdate").validate(patch)
    for body in (patch, {}):
        document = apply.classification_policy_document(None, body)
        fits("ClassificationPolicy", documents.render_classification_policy("p", "e", document))


def test_answers_of_other_settings_are_true() -> None:
    patch = samples.sent(samples.EXCEPTION_POLICY)
    validator("ExceptionPolicyUpdate").validate(patch)
    document = apply.exception_policy_document(None, patch, samples.guids())
    fits("ExceptionPolicy", documents.render_exception_policy("x", "e", document))
    labels = {str(number): number for number in range(100)}
    queue = apply.queue_document(None, {"distributionPolicyId": "d", "labels": labels})
    fits("RouterQueue", documents.render_queue("q", "e", queue))
    fits("PagedRouterQueue", documents.page_body([documents.render_queue("q", "e", queue)], "/next"))


def test_answers_of_jobs_and_workers_are_true() -> None:
    job = samples.sent(samples.JOB)
    validator("RouterJobUpdate").validate(job)
    now = samples.NOW
    assignment = jobs.RouterJobAssignment(assignment_id="a", worker_id="w", assigned_at=now)
    full = samples.new_job(job, status=JobStatus.ASSIGNED, enqueued_at=now, assignments={"a": assignment})
    bare = samples.new_job({"channelId": "c", "queueId": "q"})
    for record in (full, bare):
        fits("RouterJob", documents.render_job(record))
    fits("PagedRouterJob", documents.page_body([documents.render_job(full)], None))
    worker = samples.sent(samples.WORKER)
    validator("RouterWorkerUpdate").validate(worker)
    offer = workers.RouterJobOffer(offer_id="o", job_id="j", capacity_cost=1, offered_at=now, expires_at=now)
    for patch in (worker, {"capacity": 1, "maxConcurrentOffers": 2}):
        busy = samples.new_worker(patch, PREVIEW, offers=[offer])
        for version in (GA, PREVIEW):
            fits("RouterWorker", documents.render_worker(busy, version))


def test_other_answers_are_true() -> None:
    accepted = results.AcceptJobOfferResult(assignment_id="a", job_id="j", worker_id="w")
    fits("AcceptJobOfferResult", documents.canonical(accepted))
    fits("UnassignJobResult", documents.canonical(results.UnassignJobResult(job_id="j", unassignment_count=1)))
    empty = results.RouterQueueStatistics(queue_id="q", length=0, estimated_wait_time_minutes={})
    fits("RouterQueueStatistics", documents.canonical(empty))
    fits("EmptyResult", {})
    fits("ErrorResponse", Conflict("no", details=[ErrorDetail("Code", "why")], target="x").to_wire("/routing/jobs/j"))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("RouterJob", {"etag": "e", "id": "j"}),
        ("RouterQueue", {"etag": "e", "id": "q", "distributionPolicyId": "d", "labels": {}, "name": None}),
        ("RouterQueue", {"id": "q", "distributionPolicyId": "d", "labels": {}}),
        ("EmptyResult", {"a": 1}),
        ("ErrorResponse", {"error": {"code": "x", "message": "m", "target": "/"}}),
        ("RouterJobUpdate", {"priority": "high"}),
        ("RouterJobUpdate", {"labels": {"a": []}}),
        ("RouterWorkerUpdate", {"channels": [{"channelId": "c"}]}),
        ("RouterWorkerUpdate", {"channels": [{"channelId": "c", "capacityCostPerJob": 0}]}),
        ("RouterWorkerUpdate", {"channels": [{"channelId": None, "capacityCostPerJob": 1}]}),
        ("RouterJobUpdate", {"notes": [{"addedAt": "2024-01-01T00:00:00Z"}]}),
        ("RouterJobUpdate", {"matchingMode": {"kind": "scheduleAndSuspend", "scheduleAt": 5}}),
        ("DistributionPolicyUpdate", {"mode": {"kind": "random"}}),
        ("DistributionPolicyUpdate", {"mode": {"kind": None}}),
        ("DistributionPolicyUpdate", {"mode": {"minConcurrentOffers": 0}}),
        ("ClassificationPolicyUpdate", {"queueSelectorAttachments": [{"key": "k", "labelOperator": "equal"}]}),
        ("ClassificationPolicyUpdate", {"workerSelectorAttachments": [{"kind": "ruleEngine", "rule": {"value": 1}}]}),
        (
            "ExceptionPolicyUpdate",
            {"exceptionRules": [{"id": "r", "trigger": {"kind": "queueLength", "threshold": None}, "actions": []}]},
        ),
    ],
)
def test_what_does_not_fit(name: str, body: dict[str, Any]) -> None:
    assert not validator(name).is_valid(body)


def test_updates_may_remove() -> None:
    removal = {"name": None, "labels": {"a": None}, "exceptionPolicyId": None}
    validator("RouterQueueUpdate").validate(removal)
    validator("DistributionPolicyUpdate").validate({"mode": None})
    for name in ("RouterJobUpdate", "RouterWorkerUpdate", "RouterQueueUpdate"):
        assert "required" not in SCHEMAS[name]
        validator(name).validate({})
    assert not {"status", "assignments", "etag", "id"} & set(SCHEMAS["RouterJobUpdate"]["properties"])


@pytest.mark.parametrize(
    ("name", "patch"),
    [
        ("DistributionPolicyUpdate", {"mode": {"minConcurrentOffers": 2}}),
        ("DistributionPolicyUpdate", {"mode": {"kind": "roundRobin", "minConcurrentOffers": None}}),
        ("DistributionPolicyUpdate", {"mode": {"scoringRule": {"expression": "1"}, "scoringRuleOptions": {"batchSize": None}}}),
        ("DistributionPolicyUpdate", {"mode": {"kind": "bestWorker", "scoringRule": None, "scoringRuleOptions": None}}),
        ("ClassificationPolicyUpdate", {"prioritizationRule": {"expression": "2"}}),
        ("ClassificationPolicyUpdate", {"prioritizationRule": {"kind": "expression", "language": None, "expression": "2"}}),
        ("ClassificationPolicyUpdate", {"prioritizationRule": {"credential": {"functionKey": "k", "appKey": None}}}),
        ("ClassificationPolicyUpdate", {"prioritizationRule": {"webhookUri": "https://w", "clientCredential": None}}),
        ("ClassificationPolicyUpdate", {"queueSelectorAttachments": [
            {"kind": "ruleEngine", "rule": {"kind": "expression", "expression": "1", "language": None}}]}),
        ("RouterJobUpdate", {"matchingMode": {"scheduleAt": "2099-01-01T00:00:00Z"}}),
        ("RouterJobUpdate", {"matchingMode": {}}),
        ("RouterJobUpdate", {"requestedWorkerSelectors": [
            {"key": "k", "labelOperator": "equal", "value": None, "expiresAfterSeconds": None, "expedite": None}]}),
        ("RouterJobUpdate", {"notes": [{"message": "m", "addedAt": None}]}),
        ("RouterWorkerUpdate", {"channels": [{"channelId": "c", "capacityCostPerJob": 1, "maxNumberOfJobs": None}]}),
        ("ExceptionPolicyUpdate", {"exceptionRules": [{"id": "r", "trigger": {"kind": "queueLength", "threshold": 1},
            "actions": [{"kind": "manualReclassify", "queueId": None, "priority": None, "workerSelectors": None}]}]}),
    ],
)  # fmt: skip
def test_what_is_merged_need_not_be_whole(name: str, patch: dict[str, Any]) -> None:
    validator(name).validate(patch)


#: Of each kind, something whole: patches are made of its parts.
WHOLE: dict[str, list[dict[str, Any]]] = {
    "DistributionPolicyUpdate": [
        samples.sent(
            sdk.DistributionPolicy(
                name="n",
                offer_expires_after_seconds=5,
                mode=sdk.BestWorkerMode(
                    min_concurrent_offers=1,
                    max_concurrent_offers=3,
                    scoring_rule=rule,
                    scoring_rule_options=sdk.ScoringRuleOptions(batch_size=5, scoring_parameters=["jobLabels"]),
                ),
            )
        )
        for rule in samples.RULES.values()
    ],
    "ClassificationPolicyUpdate": [
        samples.sent(
            sdk.ClassificationPolicy(
                fallback_queue_id="q",
                prioritization_rule=rule,
                queue_selector_attachments=samples.QUEUE_ATTACHMENTS,
                worker_selector_attachments=samples.WORKER_ATTACHMENTS,
            )
        )
        for rule in samples.RULES.values()
    ],
    "ExceptionPolicyUpdate": [samples.sent(samples.EXCEPTION_POLICY)],
    "RouterQueueUpdate": [{"name": "n", "distributionPolicyId": "d", "labels": {"a": 1}, "exceptionPolicyId": "x"}],
    "RouterJobUpdate": [samples.sent(samples.JOB)],
    "RouterWorkerUpdate": [samples.sent(samples.WORKER)],
}


def after(name: str, current: Any, patch: dict[str, Any]) -> Any:
    match name:
        case "DistributionPolicyUpdate":
            return apply.distribution_policy_document(current, patch)
        case "ClassificationPolicyUpdate":
            return apply.classification_policy_document(current, patch)
        case "ExceptionPolicyUpdate":
            return apply.exception_policy_document(current, patch, samples.guids())
        case "RouterQueueUpdate":
            return apply.queue_document(current, patch)
        case "RouterJobUpdate":
            return apply.job_input(samples.new_job(current) if current else None, patch, samples.BEFORE)
        case _:
            return apply.worker_input(samples.new_worker(current, PREVIEW) if current else None, patch, PREVIEW)


def parts(whole: Any) -> st.SearchStrategy[Any]:
    """The value with any of its fields left out or null, at any depth."""
    if isinstance(whole, dict):
        fields = {key: parts(value) | st.none() for key, value in whole.items()}
        return st.fixed_dictionaries({}, optional=fields) | st.just(whole)
    if isinstance(whole, list):
        return st.tuples(*(parts(item) for item in whole)).map(list) | st.just(whole)
    return st.just(whole)


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=150)
@given(data=st.data())
def test_what_is_accepted_fits(name: str, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(WHOLE[name]))
    patch = data.draw(parts(whole))
    current = data.draw(st.sampled_from([None, *WHOLE[name]]))
    try:
        after(name, current, patch)
    except RouterError:
        return
    validator(name).validate(patch)


def test_only_health_needs_no_credentials() -> None:
    assert DOCUMENT["security"]
    open_paths = [path for path, item in DOCUMENT["paths"].items() for one in item.values() if "security" in one]
    assert open_paths == ["/health"]
