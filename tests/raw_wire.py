"""Signed requests byte by byte: what no client library lets a test send."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

GA = "2023-11-01"
PREVIEW = "2024-01-18-preview"
MERGE_PATCH = "application/merge-patch+json"
JSON = "application/json"
#: How often a request is sent, at most: on a slow machine it may be asked to come again.
MOST_TRIES: Final = 20
CONTAINERS = {
    "ClassificationPolicy": "classificationPolicies",
    "DistributionPolicy": "distributionPolicies",
    "ExceptionPolicy": "exceptionPolicies",
    "Queue": "queues",
    "Job": "jobs",
    "Worker": "workers",
}


def sign(
    key: str,
    method: str,
    target: str,
    host: str,
    body: bytes = b"",
    *,
    now: datetime | None = None,
    date: str = "x-ms-date",
) -> dict[str, str]:
    """The headers that authenticate a request."""
    moment = format_datetime(now or datetime.now(UTC), usegmt=True)
    content_hash = base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"{method}\n{target}\n{moment};{host};{content_hash}"
    signature = base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), "sha256")).decode()
    return {
        date: moment,
        "x-ms-content-sha256": content_hash,
        "Host": host,
        "Authorization": f"HMAC-SHA256 SignedHeaders={date};host;x-ms-content-sha256&Signature={signature}",
    }


def segment(text: str) -> str:
    """An id as a path segment."""
    return quote(text, safe="", errors="surrogatepass")


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> dict[str, Any]:
        """The error, once its form is the one of all (docs/behaviour.md, "Errors")."""
        assert self.status >= 400, f"{self.status} {self.content[:300]!r}"
        assert self.headers.get("Content-Type") == f"{JSON}; charset=utf-8", self
        body = self.body
        assert set(body) == {"error", "communicationError"}, body
        assert body["communicationError"] == body["error"], body
        error: dict[str, Any] = body["error"]
        assert {"target"} <= set(error) <= {"code", "message", "target", "details", "innererror"}, error
        assert all(isinstance(error[name], str) and error[name] for name in ("code", "message")), error
        for detail in error.get("details", []):
            assert detail["code"], error
            assert detail["message"], error
        assert self.headers.get("x-ms-error-code") == error["code"]
        assert self.headers.get("x-ms-request-id")
        assert self.headers.get("api-supported-versions") == f"{GA}, {PREVIEW}"
        return error

    def refused(self, status: int, code: str) -> dict[str, Any]:
        error = self.error
        assert (self.status, error["code"]) == (status, code), f"{self.status} {error}"
        return error

    def expect(self, status: int) -> Any:
        """The body of an answer that must have this status."""
        assert self.status == status, f"{self.status} {self.content[:500]!r}"
        return self.body if self.content else None


class RawWire:
    """One router, by signed requests. `async with` it."""

    def __init__(self, port: int, key: str, *, connections: int = 32) -> None:
        self.port = port
        self.key = key
        self.host = f"127.0.0.1:{port}"
        #: Part of every id of a test: nobody else has it.
        self.run = uuid.uuid4().hex[:10]
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._count = 0

    async def __aenter__(self) -> RawWire:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            timeout=aiohttp.ClientTimeout(total=60),
            skip_auto_headers=("Content-Type", "Accept", "User-Agent"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    def id(self, name: str = "thing") -> str:
        self._count += 1
        return f"{self.run}-{name}-{self._count}"

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | str | None = None,
        version: str | None = GA,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        signed: bool = True,
    ) -> Answer:
        """`path` and a textual `query` go out as they are; a body that is not bytes is sent as JSON."""
        target = path
        pairs = {} if version is None else {"api-version": version}
        if isinstance(query, str):
            target += f"?{query}" + "".join(f"&{name}={value}" for name, value in pairs.items())
        elif together := {**pairs, **(query or {})}:
            target += ("&" if "?" in path else "?") + urlencode(together, quote_via=quote)
        given = {"Content-Type": MERGE_PATCH if method == "PATCH" else JSON} if body is not None else {}
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given |= sign(key or self.key, method, target, self.host, content) if signed else {}
        given |= headers or {}
        return await self.exchange(method, target, {name: value for name, value in given.items() if value}, content)

    async def exchange(self, method: str, target: str, headers: Mapping[str, str], content: bytes) -> Answer:
        """One request as it is, signed or not."""
        assert self._session is not None
        url = URL(f"http://127.0.0.1:{self.port}{target}", encoded=True)
        request = self._session.request(method, url, headers=headers, data=content or None, allow_redirects=False)
        async with request as response:
            found = await response.read()
            return Answer(response.status, response.reason or "", response.headers, found)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.send("GET", path, **options)

    async def patch(self, path: str, body: Any, **options: Any) -> Answer:
        return await self.send("PATCH", path, body, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.send("POST", path, body, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.send("DELETE", path, **options)

    async def make(self, kind: str, body: Mapping[str, Any], id: str | None = None) -> str:
        """The path of a new resource."""
        path = f"/routing/{CONTAINERS[kind]}/{segment(id or self.id(kind.lower()))}"
        (await self.patch(path, body)).expect(201)
        return path

    async def policy(self, **fields: Any) -> str:
        """The id of a new distribution policy."""
        return (await self.make("DistributionPolicy", {"mode": {"kind": "longestIdle"}, **fields})).rpartition("/")[2]

    async def queue(self, **fields: Any) -> str:
        """The id of a new queue, with a policy of its own."""
        fields.setdefault("distributionPolicyId", await self.policy())
        return (await self.make("Queue", fields)).rpartition("/")[2]

    async def job(self, queue: str, **fields: Any) -> str:
        """The path of a new job."""
        return await self.make("Job", {"channelId": "voice", "queueId": queue, **fields})

    async def worker(self, *queues: str, **fields: Any) -> str:
        """The path of a new worker."""
        return await self.make("Worker", {"capacity": 1, "queues": list(queues), **fields})


class PatientWire(RawWire):
    """Who is asked to try again does so, as with the official clients: a machine that is slow breaks nothing."""

    async def exchange(self, method: str, target: str, headers: Mapping[str, str], content: bytes) -> Answer:
        answer = await super().exchange(method, target, headers, content)
        for _ in range(MOST_TRIES):
            if answer.status not in (429, 503) or "Retry-After" not in answer.headers:
                break
            await asyncio.sleep(float(answer.headers["Retry-After"]))
            answer = await super().exchange(method, target, headers, content)
        return answer
