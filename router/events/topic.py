"""The Event Grid topic behind azure-eventgrid: one request at a time, its errors told apart by what helps.

The client's pipeline is shorter than its default: retries are the publisher's own, looking for a proxy in the
environment costs as much as a request, and the events, which are JSON already, pass by the SDK's serializer: that
walks them value by value, which in a batch is most of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from router.events.envelope import EventSchema
from router.offload import for_a_request

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline import PipelineRequest
    from azure.eventgrid.aio import EventGridPublisherClient

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0

_SCOPE: Final = "https://eventgrid.azure.net/.default"
_PATH: Final = "/api/events"  # where every topic takes events; an endpoint may be given without it
_PLACEHOLDER: Final[Any] = ["events"]
_BODY: Final = "router_events_body"  # the option of a request that carries them
_CONTENT_TYPES: Final = {
    EventSchema.EVENT_GRID: "application/json; charset=utf-8",
    EventSchema.CLOUD_EVENTS: "application/cloudevents-batch+json; charset=utf-8",
}
_KEY_HEADER: Final = "aeg-sas-key"
_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
_UNACCEPTABLE: Final = frozenset({400, 413})


class TopicRefused(Exception):
    """The topic did not take a request."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TopicBusy(TopicRefused):
    """It may take the same request in a moment."""


class TopicClosed(TopicRefused):
    """It takes nothing from us: wrong key, no role, no such topic."""


class NotAcceptable(TopicRefused):
    """It does not take this request, because of an event in it or their size."""


class Topic:
    """One topic. The client is made at the first request, in the event loop that sends."""

    def __init__(
        self,
        endpoint: str,
        *,
        key: str | None = None,
        credential: AsyncTokenCredential | None = None,
        client_id: str | None = None,
    ) -> None:
        """With neither key nor credential the app's identity is used, `client_id` naming a user-assigned one."""
        self._endpoint = endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + _PATH
        self._key = key
        self._credential = credential
        self._own_credential: AsyncTokenCredential | None = None
        self._client_id = client_id
        self._client: EventGridPublisherClient | None = None

    async def send(self, events: Sequence[str], schema: EventSchema) -> None:
        """Return when the topic has accepted all of them; raise a TopicRefused when it has accepted none.
        The events are JSON objects of the schema, ASCII only."""
        from azure.core.exceptions import AzureError, HttpResponseError

        options: dict[str, Any] = {_BODY: f"[{','.join(events)}]".encode("ascii")}
        try:
            if self._client is None:
                await for_a_request(_load, with_identity=self._key is None and self._credential is None)
            client = self._client or self._open()
            await client.send(_PLACEHOLDER, content_type=_CONTENT_TYPES[schema], **options)
        except HttpResponseError as error:
            raise _refusal(error) from error
        except (TimeoutError, AzureError, OSError) as error:
            raise TopicBusy(f"The topic did not answer: {error}") from error

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
        credential, self._own_credential = self._own_credential, None
        if credential is not None:
            await credential.close()

    def _open(self) -> EventGridPublisherClient:
        from azure.core.credentials import AzureKeyCredential
        from azure.core.pipeline import AsyncPipeline
        from azure.core.pipeline.policies import (
            AsyncBearerTokenCredentialPolicy,
            AzureKeyCredentialPolicy,
            SansIOHTTPPolicy,
        )
        from azure.core.pipeline.transport import AioHttpTransport
        from azure.eventgrid.aio import EventGridPublisherClient

        class ReadyBody(SansIOHTTPPolicy[Any, Any]):
            """Puts the events in the place of the placeholder that the SDK has serialized."""

            def on_request(self, request: PipelineRequest[Any]) -> None:
                body: bytes | None = request.context.options.pop(_BODY, None)
                if body is not None:  # else the policy before has sent it once and sends it again
                    request.http_request.data = body
                    request.http_request.headers["Content-Length"] = str(len(body))

        credential: AzureKeyCredential | AsyncTokenCredential
        policy: Any
        if self._key is not None:
            credential = AzureKeyCredential(self._key)
            policy = AzureKeyCredentialPolicy(credential, _KEY_HEADER)
        else:
            credential = self._credential or self._identity()
            policy = AsyncBearerTokenCredentialPolicy(credential, _SCOPE)
        transport = AioHttpTransport(
            use_env_settings=False, connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS
        )
        self._client = EventGridPublisherClient(
            self._endpoint, credential, pipeline=AsyncPipeline(transport, [policy, ReadyBody()])
        )
        return self._client

    def _identity(self) -> AsyncTokenCredential:
        from azure.identity.aio import DefaultAzureCredential

        self._own_credential = DefaultAzureCredential(managed_identity_client_id=self._client_id)
        return self._own_credential


def _load(*, with_identity: bool) -> None:
    """Loading the client takes longer than others should wait: the first event comes while they are served."""
    import azure.eventgrid.aio

    if with_identity:
        import azure.identity.aio  # noqa: F401


def _refusal(error: Any) -> TopicRefused:
    from azure.core.exceptions import ResourceNotFoundError

    # The SDK raises its own error for a 404, without the answer.
    status = 404 if isinstance(error, ResourceNotFoundError) else error.status_code
    message = f"The topic answered {status}: {error.message}"
    if status in _TRANSIENT or status is None:
        return TopicBusy(message, _retry_after(error))
    return NotAcceptable(message) if status in _UNACCEPTABLE else TopicClosed(message)


def _retry_after(error: Any) -> float | None:
    value = error.response.headers.get("Retry-After") if error.response is not None else None
    try:
        return float(value) if value is not None else None
    except ValueError:  # a date: our own back-off will do
        return None
