"""The SDK's pipeline with what the router needs of it: signatures, retries, and spans where tracing is on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from azure.core.exceptions import (
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

#: A write that storage has not confirmed after this long may still land: no one waits longer for it.
TIMEOUTS: Final[dict[str, Any]] = {
    "connection_timeout": 3,
    "read_timeout": 5,
    "retry_total": 3,
    "retry_backoff_factor": 0.2,
}
#: Headers that are not added: there is no content where no type is given, and what comes is not compressed.
_NOT_ADDED: Final = ("Content-Type", "Accept-Encoding")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that has been read. What the policies ask of one is here, and no more."""

    request: HttpRequest
    status_code: int
    reason: str
    headers: Mapping[str, str]
    content: bytes


class Transport(AioHttpTransport):  # type: ignore[misc]  # untyped
    """Shows the Date of each answer to `saw`. A request of `ask` gets an Answer; others what the SDK makes of them."""

    def __init__(self, saw: Callable[[str | None], None]) -> None:
        # Looking for a proxy in the environment at every request costs more than the request's own work.
        # The limits of a try count here alone: a client that is given a transport does not hand its own on.
        connect, read = TIMEOUTS["connection_timeout"], TIMEOUTS["read_timeout"]
        super().__init__(use_env_settings=False, connection_timeout=connect, read_timeout=read)
        self._saw = saw
        self._limits = aiohttp.ClientTimeout(sock_connect=connect, sock_read=read)

    async def send(self, request: Any, *, read_at_once: bool = False, **options: Any) -> Any:
        response: Any = await (self._read(request) if read_at_once else super().send(request, **options))
        self._saw(response.headers.get("Date"))
        return response

    async def _read(self, request: HttpRequest) -> Answer:
        """Raises what AioHttpTransport raises, which the retries depend on."""
        await self.open()
        session: aiohttp.ClientSession = self.session
        try:
            async with session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.content,
                timeout=self._limits,
                allow_redirects=False,
                skip_auto_headers=_NOT_ADDED,
            ) as found:
                return Answer(request, found.status, found.reason or "", found.headers, await found.read())
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


async def ask(client: Any, request: HttpRequest) -> Answer:
    """Sends a request through the pipeline of an SDK client. Raises AzureError where there is no answer."""
    done = await client._client._client._pipeline.run(request, stream=True, read_at_once=True)
    answer: Answer = done.http_response
    return answer


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
