"""A body that was not signed is refused, however large, and one that is not carried is not looked at."""

from __future__ import annotations

import json

import azure.functions as func
import pytest

from router.api.auth import authenticate
from router.api.in_flight import InFlight
from router.offload import LARGE
from tests.unit.api.api_caller import Answer, Caller

JOB = {"channelId": "voice", "queueId": "q"}
LARGE_JOB = {**JOB, "labels": {f"k{number}": "x" * 16_000 for number in range(1 + LARGE // 16_000)}}


@pytest.mark.parametrize("job", [{**JOB, "labels": {"k": "x"}}, LARGE_JOB], ids=["small", "large"])
async def test_another_body_than_was_signed_changes_nothing(job: dict[str, object]) -> None:
    caller = Caller()
    await caller.settings()
    request = caller.request("UpsertJob", "/routing/jobs/j?api-version=2023-11-01", body=job)
    other = request.get_body().replace(b"x", b"z")
    served = await caller.gate.serve(
        caller.operation("UpsertJob"),
        func.HttpRequest(request.method, request.url, headers=dict(request.headers), body=other),
    )
    refused = Answer(served.status_code, dict(served.headers), served.get_body())
    assert (refused.status, refused.details) == (401, ["ContentHashMismatch"])
    assert refused.headers["WWW-Authenticate"] == "HMAC-SHA256"
    assert (await caller("GetJob", "j")).status == 404
    assert (await caller("UpsertJob", "j", body=job)).status == 201


async def test_what_is_not_carried_is_not_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a megabyte that takes milliseconds, and of a flood seconds."""
    hashed: list[int] = []
    monkeypatch.setattr(authenticate, "check_body", lambda _, body: hashed.append(len(body)))
    caller = Caller()
    await caller.settings()
    hashed.clear()
    size = len(json.dumps(LARGE_JOB))
    caller.gate.in_flight = InFlight(most_held=size - 1)
    assert (await caller("UpsertJob", "j", body=LARGE_JOB)).status == 503
    assert not hashed
    caller.gate.in_flight = InFlight(most_held=size)
    assert (await caller("UpsertJob", "j", body=LARGE_JOB)).status == 201
    assert hashed == [size]
