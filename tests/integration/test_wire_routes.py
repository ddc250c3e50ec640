"""Routes and methods that are not there, refusals while in use, the doors that are not the API's
(docs/behaviour.md, "General rules")."""

from __future__ import annotations

import asyncio
import http.client
import json

import aiohttp
import pytest
from multidict import CIMultiDict

from router.version import VERSION
from tests.raw_wire import CONTAINERS, GA, MERGE_PATCH, Answer, RawWire, sign

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


@pytest.mark.parametrize(
    "path",
    [
        "/", "/routing", "/routing/", "/routing/nothing", "/routing/nothing/id", "/jobs/id", "/routing/jobs/id/nothing",
        "/routing/queues/id/position", "/routing/jobs/id/assignments/id", "/routing/jobs/id/assignments",
        "/routing/workers/id/offers/id", "/routing/workers/id/offers", "/routing//jobs", "/routing/jobs//", "/favicon.ico",
        "/routing/jobs/id/statistics", "/health/more", "/openapi.json/x", "/api/routing/jobs",
    ],
)  # fmt: skip
async def test_unknown_routes_are_404_in_the_form_of_all_errors(wire: RawWire, path: str) -> None:
    for method in METHODS:
        answer = await wire.send(method, path)
        answer.refused(404, "NotFound")
        assert answer.reason == "Not Found"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        *((f"/routing/{container}/id", {"DELETE", "GET", "PATCH"}) for container in CONTAINERS.values()),
        *((f"/routing/{container}", {"GET"}) for container in CONTAINERS.values()),
        ("/health", {"GET"}),
        ("/openapi.json", {"GET"}),
        ("/routing/queues/id/statistics", {"GET"}),
        ("/routing/jobs/id/position", {"GET"}),
        ("/routing/jobs/id/assignments/id:complete", {"POST"}),
        ("/routing/jobs/id/assignments/id:close", {"POST"}),
        ("/routing/jobs/id/assignments/id:unassign", {"POST"}),
        ("/routing/workers/id/offers/id:accept", {"POST"}),
        ("/routing/workers/id/offers/id:decline", {"POST"}),
    ],
)
async def test_methods_that_a_route_does_not_have_are_405_with_allow(
    wire: RawWire, path: str, allowed: set[str]
) -> None:
    for method in METHODS:
        if method in allowed:
            continue
        answer = await wire.send(method, path)
        answer.refused(405, "MethodNotAllowed")
        named = {name.strip() for name in answer.headers["Allow"].split(",")}
        # What has GET answers HEAD too.
        assert named == allowed | ({"HEAD"} if "GET" in allowed else set())


async def test_a_head_tells_what_a_get_does_and_has_no_body(wire: RawWire) -> None:
    path = await wire.make("Worker", {"capacity": 1})
    for one, status in ((path, 200), ("/routing/workers", 200), ("/routing/workers/none", 404)):
        answer = await wire.send("HEAD", one)
        assert answer.status == status, one
        assert answer.content == b""
    (await wire.get(path)).expect(200)
    assert (await wire.send("HEAD", path, signed=False)).status == 401


async def test_a_head_of_an_action_is_not_allowed(wire: RawWire) -> None:
    answer = await wire.send("HEAD", "/routing/workers/id/offers/id:accept")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_a_slash_at_the_end_is_nothing(wire: RawWire) -> None:
    path = await wire.make("Worker", {"capacity": 1})
    assert (await wire.get(f"{path}/")).expect(200) == (await wire.get(path)).expect(200)
    (await wire.patch(f"{path}/", {"capacity": 2})).expect(200)
    (await wire.get("/routing/workers/", query={"maxpagesize": 1})).expect(200)
    (await wire.get(f"{path}%2F")).refused(404, "NotFound")  # that one is part of the id
    assert (await wire.delete(f"{path}/")).status == 204


async def test_methods_of_a_job_whose_id_looks_like_an_action(wire: RawWire) -> None:
    answer = await wire.send("PUT", "/routing/jobs/id:cancel")
    answer.refused(405, "MethodNotAllowed")
    assert {"POST", "GET", "HEAD", "PATCH", "DELETE"} == {name.strip() for name in answer.headers["Allow"].split(",")}
    (await wire.post("/routing/jobs/id:nothing")).refused(405, "MethodNotAllowed")


async def test_not_found_names_what_was_looked_for(wire: RawWire) -> None:
    id = wire.id()
    for container in CONTAINERS.values():
        answer = await wire.get(f"/routing/{container}/{id}")
        assert id in answer.refused(404, "NotFound")["message"]
        assert answer.reason == "Not Found"
        (await wire.delete(f"/routing/{container}/{id}")).expect(204)
    for path in (f"/routing/queues/{id}/statistics", f"/routing/jobs/{id}/position"):
        (await wire.get(path)).refused(404, "NotFound")
    for action in ("jobs/{id}:cancel", "jobs/{id}:reclassify", "jobs/{id}/assignments/a:complete", "jobs/{id}/assignments/a:close",
                   "jobs/{id}/assignments/a:unassign", "workers/{id}/offers/o:accept", "workers/{id}/offers/o:decline"):  # fmt: skip
        (await wire.post(f"/routing/{action.replace('{id}', id)}")).refused(404, "NotFound")


async def test_what_is_in_use_is_not_deleted(wire: RawWire) -> None:
    distribution, exception = await wire.policy(), wire.id()
    await wire.make("ExceptionPolicy", {}, exception)
    queue = await wire.queue(distributionPolicyId=distribution, exceptionPolicyId=exception)
    classification = (await wire.make("ClassificationPolicy", {"fallbackQueueId": queue})).rpartition("/")[2]
    job = await wire.job(queue, classificationPolicyId=classification, matchingMode={"kind": "suspend"})
    for path, code in (
        (f"classificationPolicies/{classification}", "ActiveJobWithClassificationPolicyExist"),
        (f"distributionPolicies/{distribution}", "QueueExistsWithDistributionPolicy"),
        (f"exceptionPolicies/{exception}", "QueueExistsWithExceptionPolicy"),
    ):
        error = (await wire.delete(f"/routing/{path}")).refused(400, "BadRequest")
        assert error["details"][0]["code"] == code
        (await wire.get(f"/routing/{path}")).expect(200)
    error = (await wire.delete(f"/routing/queues/{queue}")).refused(409, "Conflict")
    assert job.rpartition("/")[2] in error["message"]
    assert classification in error["message"]
    (await wire.delete(job)).refused(409, "Conflict")

    (await wire.post(f"{job}:cancel")).expect(200)
    (await wire.delete(job)).expect(204)
    for path in (
        f"classificationPolicies/{classification}",
        f"queues/{queue}",
        f"exceptionPolicies/{exception}",
        f"distributionPolicies/{distribution}",
    ):
        (await wire.delete(f"/routing/{path}")).expect(204)


async def test_an_action_is_seen_before_it_answers(wire: RawWire) -> None:
    queue = await wire.queue()
    job = await wire.job(queue, matchingMode={"kind": "suspend"})
    assert (await wire.patch(job, {"matchingMode": {"kind": "queueAndMatch"}})).expect(200)["status"] == "queued"
    assert (await wire.get(f"{job}/position")).expect(200)["position"] == 1
    assert (await wire.post(f"{job}:cancel")).expect(200) == {}
    (await wire.get(f"{job}/position")).refused(409, "Conflict")
    found = (await wire.get("/routing/jobs", query={"queueId": queue, "status": "cancelled"})).expect(200)["value"]
    assert [one["status"] for one in found] == ["cancelled"]
    (await wire.delete(job)).expect(204)
    assert (await wire.get("/routing/jobs", query={"queueId": queue})).expect(200)["value"] == []


async def test_health_is_open_to_everybody_and_nothing_else_is(wire: RawWire) -> None:
    health = await wire.get("/health", version=None, signed=False)
    assert health.expect(200) == {"status": "ready", "message": "ready", "version": VERSION}
    for path in ("/openapi.json/", "/routing/jobs", "/", "/health/x", "/nothing"):
        (await wire.get(path, signed=False)).refused(401, "Unauthorized")
    document = (await wire.get("/openapi.json", version=None)).expect(200)
    assert document["openapi"] == "3.1.0"


async def test_the_document_needs_no_signature_on_this_machine(wire: RawWire) -> None:
    """By a loopback name, from a page of this machine at most. A wrong signature is none."""
    signed = (await wire.get("/openapi.json", version=None)).expect(200)
    opened = await wire.get("/openapi.json", version=None, signed=False, headers={"x-ms-client-request-id": "a"})
    assert opened.expect(200) == signed
    assert opened.headers["x-ms-client-request-id"] == "a"
    assert opened.headers["x-content-type-options"] == "nosniff"
    for headers in ({"Host": f"localhost:{wire.port}"}, {"Origin": "http://localhost:3000"}):
        assert (await wire.get("/openapi.json", version=None, signed=False, headers=headers)).expect(200) == signed
    for headers in (
        {"Host": "router.example"},
        {"Host": f"127.0.0.1.example:{wire.port}"},
        {"Origin": "https://page.example"},
        {"Authorization": "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=AA=="},
    ):
        (await wire.get("/openapi.json", version=None, signed=False, headers=headers)).refused(401, "Unauthorized")
    for method in ("POST", "PATCH", "DELETE"):
        (await wire.send(method, "/openapi.json", version=None, signed=False)).refused(401, "Unauthorized")


@pytest.mark.parametrize("function", ["OnJobEvent", "OnWorkerEvent", "OnExceptionEvent"])
@pytest.mark.parametrize("code", ["", "&code=", "&code=guessed"])
async def test_events_are_taken_from_nobody_without_the_key(wire: RawWire, function: str, code: str) -> None:
    event = {
        "id": "1", "topic": "t", "subject": "job/x/channel/y", "eventType": "Microsoft.Communication.RouterJobReceived",
        "dataVersion": "1.0", "metadataVersion": "1", "eventTime": "2026-01-01T00:00:00Z", "data": {"jobId": "x"},
    }  # fmt: skip
    headers = {"aeg-event-type": "Notification", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{wire.port}/runtime/webhooks/eventgrid?functionName={function}{code}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=json.dumps([event]), headers=headers) as answer,
    ):
        assert answer.status == 401


async def test_a_function_is_not_called_by_the_platforms_own_doors(wire: RawWire) -> None:
    for path in ("/admin/functions/OnDeadlines", "/admin/host/status", "/runtime/webhooks/eventgrid"):
        for method in ("GET", "POST"):
            answer = await wire.send(method, path, {} if method == "POST" else None)
            assert answer.status in (401, 403, 404), f"{method} {path}: {answer.status}"


@pytest.mark.parametrize("header", ["If-Match", "Content-Type", "x-ms-client-request-id", "traceparent"])
async def test_headers_whose_bytes_are_no_utf_8_do_not_pass_the_host(wire: RawWire, header: str) -> None:
    target = f"/routing/workers/{wire.id()}?api-version={GA}"
    body = b'{"capacity": 1}'
    headers = {
        "Content-Type": MERGE_PATCH,
        **sign(wire.key, "PATCH", target, wire.host, body),
        header: "\xaa\xc3\x28\xff",
    }

    def send() -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", wire.port, timeout=20)  # sends headers as Latin-1
        try:
            connection.request("PATCH", target, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.reason, CIMultiDict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    answer = await asyncio.to_thread(send)
    assert (answer.status, answer.content) == (400, b"")


async def test_requests_at_once_are_answered_each(wire: RawWire) -> None:
    paths = [f"/routing/workers/{wire.id()}" for _ in range(40)]
    created = await asyncio.gather(*(wire.patch(path, {"capacity": 1, "tags": {"p": path}}) for path in paths))
    assert [answer.expect(201)["tags"]["p"] for answer in created] == paths
