"""Asking a webhook whether it wants the events, before any is sent: Event Grid's way, and that of CloudEvents."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from local.topic.schemas import Schema
from local.topic.subscriptions import Subscription

_log = logging.getLogger("local.topic")

_ORIGIN = "eventgrid.azure.net"
_LONGEST_WAIT = 5.0  # the subscriber is often started after the topic
_MANUAL_WAIT = 60.0  # it has the event and may follow the validationUrl at leisure
_ANSWER_BYTES = 64 * 1024


class Handshake:
    """Asks again and again, until the answer is right or the validation URL is followed."""

    def __init__(
        self,
        subscription: Subscription,
        session: aiohttp.ClientSession,
        *,
        topic_endpoint: str,
        topic_id: str,
        schedule: tuple[float, ...],
        validated: Callable[[], None],
    ) -> None:
        self._subscription, self._session, self._topic_id = subscription, session, topic_id
        self._schedule, self._validated = schedule, validated
        self._code = str(uuid.uuid4()).upper()
        self._problem: str | None = None
        query = urlencode({"subscription": subscription.name, "id": self._code})
        self._validation_url = f"{topic_endpoint}/validate?{query}"
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def problem(self) -> str | None:
        """Why the last attempt did not succeed."""
        return self._problem

    def follow(self, code: str) -> bool:
        """The validation URL was followed; says whether its code is right."""
        if not hmac.compare_digest(code.encode("utf-8", "replace"), self._code.encode()):
            return False
        self._task.cancel()
        self._done("by its validation URL")
        return True

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        cloud_events = self._subscription.delivery_schema is Schema.CLOUD_EVENTS
        attempt = 0
        while True:
            try:
                answer = await (self._options() if cloud_events else self._event(attempt))
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                answer = False
                self._fail(f"nobody answers there ({type(error).__name__})")
            if answer:
                self._done("by its answer")
                return
            step = self._schedule[min(attempt, len(self._schedule) - 1)]
            await asyncio.sleep(_MANUAL_WAIT if answer is None else min(step, _LONGEST_WAIT))
            attempt += 1

    def _fail(self, problem: str) -> None:
        if problem != self._problem:
            _log.warning("subscription %s: not validated: %s", self._subscription.name, problem)
        self._problem = problem

    def _done(self, how: str) -> None:
        _log.info("subscription %s: validated %s", self._subscription.name, how)
        self._validated()

    async def _event(self, attempt: int) -> bool | None:
        """True: the code came back. None: accepted without it, so the URL may follow. False: refused."""
        event = {
            "id": str(uuid.uuid4()),
            "topic": self._topic_id,
            "subject": "",
            "data": {"validationCode": self._code, "validationUrl": self._validation_url},
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "metadataVersion": "1",
            "dataVersion": "2",
        }
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "aeg-event-type": "SubscriptionValidation",
            "aeg-subscription-name": self._subscription.name.upper(),
            "aeg-delivery-count": str(attempt),
            "aeg-data-version": "2",
            "aeg-metadata-version": "1",
        }
        async with self._session.post(
            URL(self._subscription.endpoint), data=json.dumps([event]).encode(), headers=headers, allow_redirects=False
        ) as answer:
            body = await answer.content.read(_ANSWER_BYTES)
            if answer.status not in (200, 201, 202, 203, 204):
                self._fail(f"it answers the handshake with {answer.status}")
                return False
        if _validation_response(body) == self._code:
            return True
        self._fail("its answer to the handshake lacks the validation code")
        return None

    async def _options(self) -> bool | None:
        """The same three for the CloudEvents web hook handshake, whose URL is in WebHook-Request-Callback."""
        headers = {
            "WebHook-Request-Origin": _ORIGIN,
            "WebHook-Request-Callback": self._validation_url,
            "WebHook-Request-Rate": "120",
        }
        async with self._session.options(
            URL(self._subscription.endpoint), headers=headers, allow_redirects=False
        ) as answer:
            await answer.content.read(_ANSWER_BYTES)
            if answer.status not in (200, 201, 202, 203, 204):
                self._fail(f"it answers the handshake with {answer.status}")
                return False
            allowed = answer.headers.get("WebHook-Allowed-Origin", "").strip()
        if allowed == "*" or allowed.lower() == _ORIGIN:
            return True
        self._fail("its answer to the handshake lacks the header WebHook-Allowed-Origin")
        return None


def _validation_response(body: bytes) -> str | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    if isinstance(value, dict):
        for name, code in value.items():
            if name.lower() == "validationresponse" and isinstance(code, str):
                return code
    return None
