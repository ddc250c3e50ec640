"""Ids where the host hands over a path that it has decoded and written anew: each is the one that was sent, or none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

import azure.functions as func
import pytest

from local.host.routes import Router, decode_path, make_route, rebuild_path
from router.api.auth.authenticate import Caller as Who
from router.api.auth.target import TargetReader
from router.models.operations import OPERATIONS, PREVIEW
from tests.unit.api.api_caller import Answer, Caller
from tests.unit.auth.signed_wire import KEY
from tests.unit.auth.test_auth_hmac import signed

NAMES = {operation.name: operation for operation in OPERATIONS}
ROUTES = Router([make_route(operation.name, operation.route, [operation.method]) for operation in OPERATIONS])
HOST = TargetReader(on_app_service=False)


class Anybody:
    """In the place of tokens: they sign nothing."""

    async def authenticate(self, *_: Any) -> Who:
        return Who("entra", subject="somebody")

    async def check_body(self, *_: Any) -> None:
        pass


async def send(caller: Caller, method: str, raw_path: str, *, token: bool = False, body: bytes = b"") -> Answer:
    """As the host does: decode, find the function, rebuild."""
    query = f"?api-version={PREVIEW}"
    now: datetime = caller.parts.clock.now()
    headers = signed(
        key=KEY, method=method, target=raw_path + query, body=body, date=f"{now:%a, %d %b %Y %H:%M:%S} GMT"
    )
    headers["content-type"] = "application/json"
    decoded = decode_path(raw_path)
    assert decoded is not None
    found = ROUTES.find(method, decoded)
    assert found is not None
    name, values = found
    url = f"https://router.example{rebuild_path(decoded)}{query}"
    request = func.HttpRequest(method, url, headers=headers, route_params=values, body=body)
    who: Any = Anybody() if token else caller.gate.authenticator
    gate = replace(caller.gate, targets=HOST, authenticator=who)
    answered = await gate.serve(NAMES[name], request)
    return Answer(answered.status_code, dict(answered.headers), answered.get_body())


ODD = [
    "%41",
    "%2F",
    "a/b",
    "a%2Fb/c",
    "%25",
    "%2e",
    "100%",
    '|^"{}<>[]\\',
    "a:b",
    "x:cancel",
    "Z\u00fcrich \U0001f600",
    "%C3%A4",
    "%FF",
    "+ &=;,",
]


@pytest.mark.parametrize("id", ODD)
async def test_a_signature_tells_the_id_whatever_the_host_made_of_it(id: str) -> None:
    caller = Caller()
    path = f"/routing/workers/{quote(id, safe='')}"
    assert (await send(caller, "PATCH", path, body=b'{"capacity": 1}')).body["id"] == id
    assert (await send(caller, "GET", path)).body["id"] == id
    assert (await caller("GetWorker", id)).status == 200
    await caller.settings()
    await caller.job(id)
    assert (await send(caller, "POST", f"/routing/jobs/{quote(id, safe='')}:cancel")).status == 200


@pytest.mark.parametrize("id", ODD)
async def test_with_a_token_an_id_is_the_one_that_was_sent_or_refused(id: str) -> None:
    caller = Caller()
    path = f"/routing/workers/{quote(id, safe='')}"
    answer = await send(caller, "PATCH", path, token=True, body=b'{"capacity": 1}')
    if "/" in id or id in ("%2F", "%C3%A4", "%FF"):
        assert (answer.status, answer.details) == (400, ["InvalidId"])
        assert (await caller("GetWorkers")).ids == [], "nothing was written under another id"
    else:
        assert answer.body["id"] == id


@pytest.mark.parametrize("sent", ["%61", "%3a", "%7E", "%2f"])
async def test_needless_escapes_are_refused_with_a_key_and_read_with_a_token(sent: str) -> None:
    caller = Caller()
    assert (await send(caller, "GET", f"/routing/workers/{sent}")).status in (401, 404)
    token = await send(caller, "PATCH", f"/routing/workers/{sent}", token=True, body=b'{"capacity": 1}')
    assert token.status == 400 if sent == "%2f" else token.body["id"] == bytes.fromhex(sent[1:]).decode()


async def test_a_body_in_chunks_is_411_with_the_reason() -> None:
    caller = Caller()
    request = caller.request("UpsertWorker", f"/routing/workers/w?api-version={PREVIEW}")
    headers = {**dict(request.headers), "Transfer-Encoding": "chunked"}
    answered = await caller.gate.serve(
        NAMES["UpsertWorker"], func.HttpRequest("PATCH", request.url, headers=headers, body=b"")
    )
    answer = Answer(answered.status_code, dict(answered.headers), answered.get_body())
    assert (answer.status, answer.code) == (411, "LengthRequired")
    assert "Content-Length" in answer.body["error"]["message"]
