"""api-version, and the headers of every answer (docs/behaviour.md, "Versions")."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.integration.wire_operations import REQUESTS
from tests.raw_wire import GA, PREVIEW, RawWire

BOTH = f"{GA}, {PREVIEW}"


async def test_every_operation_asks_for_a_version(wire: RawWire) -> None:
    answers = await asyncio.gather(*(wire.send(method, path, version=None) for _, method, path in REQUESTS))
    assert len(answers) == 43
    for answer in answers:
        assert BOTH in answer.refused(400, "MissingApiVersionParameter")["message"]


async def test_every_operation_refuses_a_version_that_is_not_served(wire: RawWire) -> None:
    answers = await asyncio.gather(
        *(wire.send(method, path, version="2022-07-18-preview") for _, method, path in REQUESTS)
    )
    for answer in answers:
        message = answer.refused(400, "UnsupportedApiVersionValue")["message"]
        assert BOTH in message
        assert "2022-07-18-preview" in message


@pytest.mark.parametrize("query", ["api-version=", "api-version=%20", f"api-version={GA}x", f"api-version={GA},{GA}"])
async def test_a_version_is_one_of_the_two_to_the_letter(wire: RawWire, query: str) -> None:
    answer = await wire.get("/routing/jobs", query=query, version=None)
    assert answer.error["code"] in ("MissingApiVersionParameter", "UnsupportedApiVersionValue")


async def test_the_name_of_the_parameter_has_no_case(wire: RawWire) -> None:
    (await wire.get("/routing/jobs", query=f"API-Version={GA}&MaxPageSize=1", version=None)).expect(200)
    # Of a repeated one the last counts, however it is written.
    (await wire.get("/routing/jobs", query=f"API-Version=2020-01-01&api-version={GA}", version=None)).expect(200)
    answer = await wire.get("/routing/jobs", query=f"api-version={GA}&API-Version=2020-01-01", version=None)
    answer.refused(400, "UnsupportedApiVersionValue")


@pytest.mark.parametrize("version", [GA, PREVIEW])
async def test_every_kind_of_answer_names_the_versions_and_the_request(wire: RawWire, version: str) -> None:
    queue = await wire.queue()
    path = await wire.make("Worker", {"capacity": 1})
    answers = [
        await wire.get(path, version=version),
        await wire.patch(path, {"capacity": 2}, version=version),
        await wire.get("/routing/workers", query={"maxpagesize": 1}, version=version),
        await wire.get(f"/routing/queues/{queue}/statistics", version=version),
        await wire.delete(path, version=version),
        await wire.get(path, version=version),
        await wire.patch(path, b"{", version=version),
        await wire.patch(path, b"{}", version=version, headers={"Content-Type": "text/plain"}),
        await wire.send("PUT", path, version=version),
        await wire.get("/routing/nothing", version=version),
        await wire.get(path, version=version, signed=False),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 204, 404, 400, 415, 405, 404, 401]
    assert [answer.headers["api-supported-versions"] for answer in answers] == [BOTH] * len(answers)
    ids = [answer.headers["x-ms-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f-]{36}", id) for id in ids)


async def test_max_concurrent_offers_is_of_the_preview_alone(wire: RawWire) -> None:
    queue = await wire.queue()
    path = await wire.worker(queue, capacity=4, maxConcurrentOffers=3)
    assert "maxConcurrentOffers" not in (await wire.get(path)).expect(200)
    assert "maxConcurrentOffers" not in (await wire.get(path, version=PREVIEW)).expect(200)
    changed = await wire.patch(path, {"maxConcurrentOffers": 2}, version=PREVIEW)
    assert changed.expect(200)["maxConcurrentOffers"] == 2
    # A client of the older version neither sees it nor takes it away.
    assert "maxConcurrentOffers" not in (await wire.patch(path, {"capacity": 5, "maxConcurrentOffers": None})).expect(
        200
    )
    assert (await wire.get(path, version=PREVIEW)).expect(200)["maxConcurrentOffers"] == 2
    (listed,) = (await wire.get("/routing/workers", query={"queueId": queue})).expect(200)["value"]
    assert listed["capacity"] == 5
    assert "maxConcurrentOffers" not in listed


async def test_a_client_request_id_comes_back(wire: RawWire) -> None:
    sent = {"x-ms-client-request-id": "from-the client/1"}
    for answer in (
        await wire.get("/routing/jobs", query={"maxpagesize": 1}, headers=sent),
        await wire.get("/routing/jobs/none", headers=sent),
        await wire.delete("/routing/jobs/none", headers=sent),
        await wire.get("/routing/nothing", headers=sent),
        await wire.get("/routing/jobs", headers=sent, signed=False),
        await wire.get("/routing/nothing", headers=sent, signed=False),
        await wire.send("PUT", "/routing/jobs/none", headers=sent),
        await wire.get("/openapi.json", headers=sent),
        await wire.get("/openapi.json", headers=sent, signed=False),
        await wire.get("/health", headers=sent, signed=False),
    ):
        assert answer.headers["x-ms-client-request-id"] == "from-the client/1"
    assert "x-ms-client-request-id" not in (await wire.get("/routing/jobs/none")).headers


async def test_an_answer_never_gets_a_header_that_a_client_smuggles_in(wire: RawWire) -> None:
    long = await wire.get("/routing/jobs/none", headers={"x-ms-client-request-id": "é" * 50 + "x" * 5000})
    assert long.headers["x-ms-client-request-id"] == "x" * (256 - 50)
    assert long.status == 404


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html", "application/xml;q=0.1", None])
async def test_accept_may_be_anything(wire: RawWire, accept: str | None) -> None:
    headers = {"Accept": accept} if accept else {}
    answer = await wire.get("/routing/jobs", query={"maxpagesize": 1}, headers=headers)
    answer.expect(200)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert (await wire.delete("/routing/jobs/none", headers=headers)).status == 204
