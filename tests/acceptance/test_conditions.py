"""ETags and conditional upserts, through the SDK's etag, match_condition and if_unmodified_since."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from tests.acceptance.desk import Desk
from tests.acceptance.service import send

Upsert = Callable[..., Any]


@pytest.fixture(params=["distribution policy", "classification policy", "exception policy", "queue", "worker", "job"])
def upsert(request: pytest.FixtureRequest, desk: Desk) -> Upsert:
    """Creates or updates one resource of a kind: `upsert(name_or_tag, **conditions)`."""
    administration, client = desk.administration, desk.client
    call: Callable[..., Any]
    base: dict[str, Any]
    match request.param:
        case "distribution policy":
            id, call, base = (
                desk.id("distribution"),
                administration.upsert_distribution_policy,
                {"mode": {"kind": "longestIdle"}},
            )
        case "classification policy":
            id, call, base = desk.id("classification"), administration.upsert_classification_policy, {}
        case "exception policy":
            id, call, base = desk.id("exception"), administration.upsert_exception_policy, {}
        case "queue":
            policy = desk.policy()
            id, call, base = desk.id("queue"), administration.upsert_queue, {"distributionPolicyId": policy}
        case "worker":
            id, call, base = desk.id("worker"), client.upsert_worker, {"capacity": 1}
        case _:
            queue = desk.queue()
            id, call = desk.id("job"), client.upsert_job
            base = {"channelId": "v", "queueId": queue, "matchingMode": {"kind": "suspend"}}
    tagged = request.param in ("worker", "job")

    def send_it(text: str, **conditions: Any) -> Any:
        return call(id, {**base, **({"tags": {"t": text}} if tagged else {"name": text})}, **conditions)

    return send_it


def test_an_etag_changes_exactly_when_the_resource_does(upsert: Upsert) -> None:
    made, again, changed = upsert("one"), upsert("one"), upsert("two")
    assert made.etag == again.etag
    assert changed.etag != made.etag


def test_if_not_modified(upsert: Upsert) -> None:
    made = upsert("one")
    changed = upsert("two", etag=made.etag, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceModifiedError) as refused:
        upsert("three", etag=made.etag, match_condition=MatchConditions.IfNotModified)
    assert (refused.value.status_code, refused.value.error.code) == (412, "ConditionNotMet")
    assert upsert("two").etag == changed.etag, "nothing was written"


def test_if_missing_and_if_present(upsert: Upsert) -> None:
    with pytest.raises(ResourceNotFoundError) as refused:
        upsert("none", match_condition=MatchConditions.IfPresent)
    assert refused.value.status_code == 412
    made = upsert("one", match_condition=MatchConditions.IfMissing)
    with pytest.raises(ResourceExistsError) as exists:
        upsert("two", match_condition=MatchConditions.IfMissing)
    assert exists.value.status_code == 412
    assert upsert("one", match_condition=MatchConditions.IfPresent).etag == made.etag


def test_if_modified(upsert: Upsert) -> None:
    made = upsert("one")
    with pytest.raises(HttpResponseError) as refused:
        upsert("two", etag=made.etag, match_condition=MatchConditions.IfModified)
    assert refused.value.status_code == 412


def test_if_unmodified_since(upsert: Upsert) -> None:
    made = upsert("one")
    now = datetime.now(UTC)
    with pytest.raises(HttpResponseError) as refused:
        upsert("two", if_unmodified_since=now - timedelta(hours=1))
    assert (refused.value.status_code, refused.value.error.code) == (412, "ConditionNotMet")
    assert upsert("one", if_unmodified_since=now + timedelta(hours=1)).etag == made.etag
    assert upsert("two", if_unmodified_since=now + timedelta(hours=1)).etag != made.etag


def test_the_headers_of_a_resource(desk: Desk) -> None:
    policy = desk.id("distribution")
    path = f"routing/distributionPolicies/{policy}"
    body = {"mode": {"kind": "roundRobin"}, "etag": "stale", "id": "other"}
    made = send(desk.client, "PATCH", path, json=body, headers={"Content-Type": "application/merge-patch+json"})
    assert made.status_code == 201
    assert made.headers["ETag"] == made.json()["etag"]
    assert abs(parsedate_to_datetime(made.headers["Last-Modified"]) - datetime.now(UTC)) < timedelta(seconds=30)
    again = send(desk.client, "PATCH", path, json={**body, "etag": ""})
    assert again.status_code == 200
    assert again.json()["id"] == policy
    for header in ("ETag", "Last-Modified"):
        assert again.headers[header] == made.headers[header]
        assert send(desk.client, "GET", path).headers[header] == made.headers[header]
    assert "2023-11-01" in again.headers["api-supported-versions"]
