"""The first try of a request goes without the SDK's pipeline, which does the others: as the SDK would do them all."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError
from yarl import URL

from router.storage.azure import AzureTables
from router.storage.batches import Request
from router.storage.pipeline import Answer, Way
from router.storage.signing import Authorization, SharedKey, Token

KEY = SharedKey(AzureNamedKeyCredential("a", "YQ=="))


class Storage:
    """Answers each try with what it was given: a status, with or without Retry-After, or an error."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.tries: list[str] = []
        self.shown: list[str] = []

    def _next(self, how: str, request: Any) -> Answer:
        self.tries.append(how)
        found = self._answers.pop(0)
        if isinstance(found, Exception):
            raise found
        status, headers = found if isinstance(found, tuple) else (found, {})
        return Answer(request, status, "", headers, b"")

    async def exchange(self, request: Any, url: URL, headers: Any, most_bytes: int | None = None) -> Answer:
        self.shown.append(headers["Authorization"])
        assert headers["x-ms-date"] == headers["Date"]
        return self._next("direct", request)

    @property
    def _client(self) -> Any:
        return self

    _pipeline = _client

    async def run(self, request: Any, **options: Any) -> Any:
        self.http_response = self._next(f"pipeline, {options.get('retry_total', 3)} more", request)
        return self


class Tenant:
    """Gives a token a call, good for an hour, or as long as it is told; or an error."""

    def __init__(self, *, seconds: float = 3600, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._seconds = seconds
        self._error = error

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        self.asked += scopes
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        return AccessToken(f"t{len(self.asked)}", int(time.time() + self._seconds))

    async def close(self) -> None: ...

    async def __aenter__(self) -> Tenant:
        return self

    async def __aexit__(self, *exception: object) -> None: ...


async def _ask(storage: Storage, method: str, shown: Authorization | None = KEY) -> int:
    request = Request(method, "http://a/jobs", {}, b"{}" if method in ("PUT", "POST") else None)
    return (await Way(storage, shown).ask(storage, request)).status_code  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [200, 204, 404, 409, 412, 413])
async def test_an_answer_is_one(status: int) -> None:
    storage = Storage(status)
    assert await _ask(storage, "PUT") == status
    assert storage.tries == ["direct"]


@pytest.mark.parametrize(
    "first", [408, 429, 500, 502, 503, 504, ServiceRequestError("no"), ServiceResponseError("cut")]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_may_be_done_twice_is_tried_again(method: str, first: Any) -> None:
    storage = Storage(first, 204)
    assert await _ask(storage, method) == 204
    assert storage.tries == ["direct", "pipeline, 2 more"]


@pytest.mark.parametrize("first", [ServiceRequestError("no"), ServiceResponseError("cut")])
async def test_an_insert_that_may_have_been_heard_is_not_tried_again(first: Exception) -> None:
    storage = Storage(first, 204)
    with pytest.raises(type(first)):
        await _ask(storage, "POST")
    assert storage.tries == ["direct"]


@pytest.mark.parametrize(("status", "again"), [(408, False), (429, False), (500, True), (503, True)])
async def test_an_insert_is_tried_again_where_the_package_does(status: int, again: bool) -> None:
    storage = Storage(status, 201)
    assert await _ask(storage, "POST") == (201 if again else status)


@pytest.mark.parametrize(("method", "status"), [("PUT", 503), ("POST", 429)])
async def test_storage_says_when_to_come_again(method: str, status: int) -> None:
    storage = Storage((status, {"Retry-After": "0.05"}), 204)
    began = asyncio.get_running_loop().time()
    assert await _ask(storage, method) == 204
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_with_a_credential_that_only_the_package_knows_all_tries_are_the_pipelines() -> None:
    storage = Storage(204)
    assert await _ask(storage, "PUT", shown=None) == 204
    assert storage.tries == ["pipeline, 3 more"]


async def test_a_token_is_asked_for_once() -> None:
    tenant, storage = Tenant(), Storage(*[204] * 6)
    token = Token(tenant)
    await asyncio.gather(*(_ask(storage, "PUT", token) for _ in range(5)))
    await _ask(storage, "POST", token)
    assert tenant.asked == ["https://storage.azure.com/.default"]
    assert storage.shown == ["Bearer t1"] * 6


async def test_a_token_that_ends_soon_is_renewed() -> None:
    tenant, storage = Tenant(seconds=299), Storage(204, 204)
    token = Token(tenant)
    await _ask(storage, "PUT", token)
    await _ask(storage, "PUT", token)
    assert storage.shown == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_a_token_that_storage_refuses_is_left_to_the_package(method: str) -> None:
    """Which knows where another one is to be had. The next request asks for a new one."""
    tenant, storage = Tenant(), Storage(401, 204, 204)
    token = Token(tenant)
    assert await _ask(storage, method, token) == 204
    assert await _ask(storage, method, token) == 204
    assert storage.tries == ["direct", "pipeline, 2 more", "direct"]
    assert storage.shown == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_a_token_nothing_was_sent_and_the_package_tries(method: str) -> None:
    tenant, storage = Tenant(error=ClientAuthenticationError("no identity yet")), Storage(204)
    assert await _ask(storage, method, Token(tenant)) == 204
    assert storage.tries == ["pipeline, 2 more"]


async def test_an_account_with_an_identity_has_its_first_tries_too() -> None:
    tables = AzureTables.from_endpoint("https://a.table.core.windows.net", Tenant())
    assert isinstance(tables._way._authorization, Token)
    await tables.close()
