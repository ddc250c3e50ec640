"""One POST to a subscriber: its headers and body, and what its answer means."""

from __future__ import annotations

import http
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from yarl import URL

from local.topic.schemas import Schema, to_cloud_event
from local.topic.subscriptions import Subscription

_SUCCESS = frozenset((200, 201, 202, 203, 204))
# Trying these again is pointless; 401 may pass for the router's own functions, as for Azure resources in the service.
_PERMANENT = frozenset((400, 403, 413))
_PERMANENT_FOR_WEBHOOKS = _PERMANENT | {401}
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,200}\Z")  # a data version may be any text, a header may not
_ANSWER_BYTES = 64 * 1024


#: .NET's names, of which Event Grid makes its reasons, where Python's phrase is another or changes with its version.
_NAMES = {
    203: "NonAuthoritativeInformation",
    207: "MultiStatus",
    208: "AlreadyReported",
    226: "IMUsed",
    413: "RequestEntityTooLarge",
    414: "RequestUriTooLong",
    416: "RequestedRangeNotSatisfiable",
    422: "UnprocessableEntity",
    505: "HttpVersionNotSupported",
}


def status_name(status: int) -> str:
    """A status as .NET's `HttpStatusCode` spells it; `Http599` for one that nobody has named."""
    if status in _NAMES:
        return _NAMES[status]
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        return f"Http{status}"
    return "".join(word[:1].upper() + word[1:] for word in phrase.replace("-", " ").split())


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended, in Event Grid's words."""

    name: str
    status: int | None = None
    delivered: bool = False
    permanent: bool = False
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Letter:
    """What an attempt needs to know of an event."""

    body: str
    data_version: str
    attempts: int


def new_session(timeout: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        # Many servers close an idle connection after 5 s; leaving it first avoids posting into a closing one.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4),
        timeout=aiohttp.ClientTimeout(total=timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": "local-event-grid-topic", "Origin": "eventgrid.azure.net"},
    )


class Transport:
    def __init__(self, subscription: Subscription, session: aiohttp.ClientSession, topic_schema: Schema) -> None:
        self._session = session
        self._url = URL(subscription.endpoint)
        self._permanent = _PERMANENT if subscription.trusted else _PERMANENT_FOR_WEBHOOKS
        self._cloud = subscription.delivery_schema is Schema.CLOUD_EVENTS
        self._converts = self._cloud and topic_schema is not Schema.CLOUD_EVENTS
        self._single = subscription.max_events_per_batch == 1
        self._headers = {
            "Content-Type": self._content_type(),
            "aeg-event-type": "Notification",
            "aeg-subscription-name": subscription.name.upper(),  # as the service writes it
            "aeg-metadata-version": "1",
        }

    @property
    def host(self) -> tuple[str, int]:
        return self._url.host or "", self._url.port or 80

    def delivered_body(self, body: str) -> str:
        """An event's text as the subscriber gets it."""
        return json.dumps(to_cloud_event(json.loads(body)), separators=(",", ":")) if self._converts else body

    async def post(self, letters: Sequence[Letter]) -> Outcome:
        headers = self._headers | {"aeg-delivery-count": str(letters[0].attempts)}
        if not self._cloud and _HEADER_VALUE.match(letters[0].data_version):
            headers["aeg-data-version"] = letters[0].data_version
        joined = ",".join([self.delivered_body(letter.body) for letter in letters])
        text = joined if self._cloud and self._single else f"[{joined}]"
        try:
            async with self._session.post(
                self._url, data=text.encode(), headers=headers, allow_redirects=False
            ) as answer:
                await answer.content.read(_ANSWER_BYTES)
                return self._judge(answer.status)
        except TimeoutError:
            return Outcome("TimedOut")
        except aiohttp.ClientConnectorError as error:
            # A wrong certificate is a connection error too, but somebody is there.
            return Outcome("SocketError", unreachable=not isinstance(error, aiohttp.ClientSSLError))
        except (aiohttp.ClientError, OSError, ValueError):
            return Outcome("SocketError")

    def _judge(self, status: int) -> Outcome:
        return Outcome(status_name(status), status, delivered=status in _SUCCESS, permanent=status in self._permanent)

    def _content_type(self) -> str:
        if not self._cloud:
            return "application/json; charset=utf-8"
        kind = "cloudevents" if self._single else "cloudevents-batch"
        return f"application/{kind}+json; charset=utf-8"
