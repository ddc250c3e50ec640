"""A router in memory, in virtual time, called as the Functions host calls it: signed requests through the gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import azure.functions as func

from router.api.auth.authenticate import Authenticator
from router.api.auth.hmac import AccessKeys
from router.api.auth.ratelimit import RateLimiter
from router.api.auth.target import TargetReader
from router.api.gate import Gate
from router.models.operations import OPERATIONS, PREVIEW, Operation
from router.rules.secrets import SecretBox
from router.wire.conditions import http_date
from tests.memory_router import Process, Tables
from tests.unit.auth.signed_wire import KEY
from tests.unit.auth.test_auth_hmac import signed

_OPERATIONS = {operation.name: operation for operation in OPERATIONS}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def code(self) -> str | None:
        """Of the error."""
        return self.headers.get("x-ms-error-code")

    @property
    def details(self) -> list[str]:
        """Their codes."""
        return [one["code"] for one in self.body["error"].get("details", [])]

    @property
    def ids(self) -> list[str]:
        """Of a list's page."""
        return [one["id"] for one in self.body["value"]]


class Caller:
    """Calls the operations of one process by their names."""

    def __init__(self, tables: Tables | None = None, *, secrets: str | None = None, limit: int = 0) -> None:
        self.process = Process(tables or Tables())
        self.parts = self.process.parts
        self.gate = Gate(
            parts=self.parts,
            clock=self.parts.clock,
            authenticator=Authenticator(AccessKeys([KEY])),
            limiter=RateLimiter(limit),
            targets=TargetReader(on_app_service=False, url_is_raw=True),
            token_keys=(KEY,),
            secrets=SecretBox(secrets) if secrets else None,
        )

    async def __call__(
        self,
        name: str,
        *ids: str,
        body: Any = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        version: str | None = PREVIEW,
        key: str = KEY,
        **query: Any,
    ) -> Answer:
        """`body` is sent as JSON, `raw` as it is."""
        operation = _OPERATIONS[name]
        path = operation.route
        for id in ids:
            start, _, rest = path.partition("{")
            path = f"{start}{quote(id, safe='')}{rest.partition('}')[2]}"
        asked = {**query, **({} if version is None else {"api-version": version})}
        target = f"/{path}?" + "&".join(f"{quote(one)}={quote(value)}" for one, value in asked.items())
        return await self.send(name, target, body=body, raw=raw, headers=headers, key=key)

    def operation(self, name: str) -> Operation:
        return _OPERATIONS[name]

    async def follow(self, name: str, link: str) -> Answer:
        """The page that a nextLink leads to."""
        return await self.send(name, f"{link}&api-version={PREVIEW}")

    async def pages(self, name: str, *ids: str, **query: Any) -> list[Answer]:
        """All pages of a list, from the first on."""
        pages = [await self(name, *ids, **query)]
        while (link := pages[-1].body.get("nextLink")) is not None:
            pages.append(await self.follow(name, link))
        return pages

    async def send(
        self,
        name: str,
        target: str,
        *,
        body: Any = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        key: str = KEY,
    ) -> Answer:
        request = self.request(name, target, body=body, raw=raw, headers=headers, key=key)
        answered = await self.gate.serve(_OPERATIONS[name], request)
        return Answer(answered.status_code, dict(answered.headers), answered.get_body())

    def request(
        self,
        name: str,
        target: str,
        *,
        body: Any = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        key: str = KEY,
    ) -> func.HttpRequest:
        """As the host hands it over."""
        method = _OPERATIONS[name].method
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        date = http_date(self.parts.clock.now())
        given = signed(key=key, method=method, target=target, body=content, date=date)
        if content:
            given["content-type"] = "application/json"
        url = f"http://router.example{target}"
        return func.HttpRequest(method, url, headers={**given, **(headers or {})}, body=content)

    async def settings(self) -> None:
        """A distribution policy and a queue, both `q`."""
        await self("UpsertDistributionPolicy", "q", body={"mode": {"kind": "longestIdle"}})
        await self("UpsertQueue", "q", body={"distributionPolicyId": "q"})

    async def worker(self, id: str, **fields: Any) -> Answer:
        channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
        body = {"capacity": 1, "queues": ["q"], "channels": channels, "availableForOffers": True, **fields}
        return await self("UpsertWorker", id, body=body)

    async def job(self, id: str, **fields: Any) -> Answer:
        return await self("UpsertJob", id, body={"channelId": "voice", "queueId": "q", **fields})
