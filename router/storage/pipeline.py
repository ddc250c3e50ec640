"""How requests go to storage: the first try directly, unless a span is to be made of it.

All others go through the SDK's pipeline, with what the router needs of it: tokens, retries, spans if tracing is on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.policies import (
    AsyncRedirectPolicy,
    CustomHookPolicy,
    DistributedTracingPolicy,
    HttpLoggingPolicy,
    NetworkTraceLoggingPolicy,
    ProxyPolicy,
    RequestIdPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest
from azure.core.settings import settings as azure_settings
from azure.data.tables.aio import TableServiceClient
from yarl import URL

from router.storage.batches import Request
from router.storage.signing import Authorization

#: A write that storage has not confirmed after this long may still land: no one waits longer for it.
TIMEOUTS: Final[dict[str, Any]] = {
    "connection_timeout": 3,
    "read_timeout": 5,
    "retry_total": 3,
    "retry_backoff_factor": 0.2,
}
#: Headers that are not added: there is no content where no type is given, and what comes is not compressed.
_NOT_ADDED: Final = ("Content-Type", "Accept-Encoding")
#: What the SDK tries again: "not now", or an answer on the way to storage.
_TRIED_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
#: Those of them that it tries again for an insert or a transaction too.
_EVEN_POST: Final = frozenset({500, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that has been read. What the policies ask of one is here, and no more."""

    request: Any
    status_code: int
    reason: str
    headers: Mapping[str, str]
    content: bytes


class AnswerTooLong(Exception):
    """An answer of more bytes than were asked for. `begun`: its first ones."""

    def __init__(self, begun: bytes) -> None:
        super().__init__(f"more than {len(begun)} bytes")
        self.begun = begun


class Transport(AioHttpTransport):  # type: ignore[misc]  # untyped
    """Shows the Date of each answer to `saw`. Requests of `Way` get an Answer; others what the SDK makes of them."""

    def __init__(self, saw: Callable[[str | None], None]) -> None:
        # Looking for a proxy in the environment at every request costs more than the request's own work.
        # The limits of a try count here alone: a client that is given a transport does not hand its own on.
        connect, read = TIMEOUTS["connection_timeout"], TIMEOUTS["read_timeout"]
        super().__init__(use_env_settings=False, connection_timeout=connect, read_timeout=read)
        self._saw = saw
        self._limits = aiohttp.ClientTimeout(sock_connect=connect, sock_read=read)

    async def send(
        self, request: Any, *, read_at_once: bool = False, most_bytes: int | None = None, **options: Any
    ) -> Any:
        if read_at_once:
            return await self.exchange(request, request.url, request.headers, most_bytes)
        response: Any = await super().send(request, **options)
        self._saw(response.headers.get("Date"))
        return response

    async def exchange(
        self, request: HttpRequest | Request, url: str | URL, headers: Mapping[str, str], most_bytes: int | None = None
    ) -> Answer:
        """Raises what AioHttpTransport raises, which the retries depend on, and AnswerTooLong."""
        await self.open()
        session: aiohttp.ClientSession = self.session
        try:
            async with session.request(
                request.method,
                url,
                headers=headers,
                data=request.content,
                timeout=self._limits,
                allow_redirects=False,
                skip_auto_headers=_NOT_ADDED,
            ) as found:
                self._saw(found.headers.get("Date"))
                content = await (found.read() if most_bytes is None else _bounded(found, most_bytes))
                return Answer(request, found.status, found.reason or "", found.headers, content)
        except aiohttp.ClientResponseError as error:
            raise ServiceResponseError(error, error=error) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise ServiceRequestTimeoutError(error, error=error) from error
        except TimeoutError as error:
            raise ServiceResponseTimeoutError(error, error=error) from error
        except aiohttp.ClientPayloadError as error:  # the answer has begun
            raise ServiceResponseError(error, error=error) from error
        except aiohttp.ClientError as error:
            raise ServiceRequestError(error, error=error) from error


async def _bounded(found: aiohttp.ClientResponse, most: int) -> bytes:
    """The content. Raises AnswerTooLong; what is still to come is not waited for."""
    pieces: list[bytes] = []
    size = 0
    async for piece in found.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise AnswerTooLong(b"".join(pieces))
    return b"".join(pieces)


class Way:
    """The way of the requests of an account."""

    def __init__(self, transport: Transport, authorization: Authorization | None) -> None:
        """`authorization`: for first tries, which then go without the pipeline."""
        self._transport = transport
        self._authorization = authorization

    async def ask(self, client: Any, request: Request, most_bytes: int | None = None) -> Answer:
        """Sends the request; `client` is one of the SDK. Raises AzureError where there is no answer, AnswerTooLong
        where it has more than `most_bytes`."""
        options: dict[str, Any] = {"most_bytes": most_bytes}
        if self._authorization is not None:
            answer = await self._first_try(self._authorization, request, most_bytes)
            if answer is not None:
                return answer
            options["retry_total"] = TIMEOUTS["retry_total"] - 1
        again = HttpRequest(request.method, request.url, headers=dict(request.headers), content=request.content)
        done = await client._client._client._pipeline.run(again, stream=True, read_at_once=True, **options)
        found: Answer = done.http_response
        return found

    async def _first_try(self, authorization: Authorization, request: Request, most_bytes: int | None) -> Answer | None:
        """The answer; None where the SDK would try again, which it does at once the first time."""
        url = URL(request.url)
        try:
            signed = await authorization.signed(request.method, url, request.headers)
        except AzureError:  # there is no token yet
            return None
        try:
            answer = await self._transport.exchange(request, url, signed, most_bytes)
        except AzureError:
            if request.method == "POST":  # it may have been heard
                raise
            return None
        if answer.status_code == 401:  # the SDK knows where another token is to be had
            authorization.refused()
            return None
        when = answer.headers.get("Retry-After") if answer.status_code >= 400 else None
        if not when and answer.status_code not in (_EVEN_POST if request.method == "POST" else _TRIED_AGAIN):
            return answer
        with suppress(ValueError):
            await asyncio.sleep(float(when or 0))
        return None


def shorten(service: TableServiceClient, traced: bool) -> None:
    """Takes the policies out of the clients' pipeline that do nothing here: they double the time that a request
    takes in this process. Retries, authentication and the storage headers stay; tracing does where it is on."""
    dropped: tuple[type, ...] = (
        RequestIdPolicy,
        UserAgentPolicy,
        ProxyPolicy,
        AsyncRedirectPolicy,
        CustomHookPolicy,
        NetworkTraceLoggingPolicy,
        HttpLoggingPolicy,
    )
    if not traced:
        dropped = (*dropped, DistributedTracingPolicy)
        azure_settings.tracing_enabled = False
    service._policies = [policy for policy in service._policies if not isinstance(policy, dropped)]
