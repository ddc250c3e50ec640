"""The official REST API, signed with an access key: reading lists, writing resources, patient with 429 and 5xx."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import ssl
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from yarl import URL

from router.clock import Clock, SystemClock
from router.ids import Ids
from router.migrate.failure import MigrationError, NoAnswer, Refused
from router.migrate.kinds import Document, Kind
from router.models.operations import GA, PREVIEW

_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_TRIES: Final = 9
_LONGEST_PAUSE: Final = 30.0
_PAGE: Final = "100"
_CONTENT: Final[Mapping[str, str]] = {"PATCH": "application/merge-patch+json", "POST": "application/json"}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Endpoint:
    """Where a router is, and the key that opens it; the key is never shown."""

    url: str
    key: bytes = field(repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


def parse_connection_string(text: str) -> Endpoint:
    """`endpoint=https://...;accesskey=...`. MigrationError, which never repeats the text, when it is none."""
    parts = dict(part.split("=", 1) for part in text.strip().split(";") if "=" in part)
    fields = {name.strip().lower(): value.strip() for name, value in parts.items()}
    if not fields.get("endpoint") or not fields.get("accesskey"):
        raise MigrationError("A connection string reads endpoint=https://...;accesskey=...: one of the two is missing.")
    try:
        url = urlsplit(fields["endpoint"])
        number = url.port
    except ValueError:
        raise MigrationError("The endpoint of a connection string has a port or an address that is none.") from None
    if url.scheme not in ("https", "http") or not url.hostname:
        raise MigrationError("The endpoint of a connection string is not an https URL.")
    if url.scheme == "http" and url.hostname not in _LOOPBACK:
        raise MigrationError(f"{url.hostname} is to be reached by https: plain http is for this machine only.")
    try:
        key = b64decode(fields["accesskey"], validate=True)
    except (BadBase64, ValueError):
        raise MigrationError("The access key of a connection string is not base64.") from None
    port = f":{number}" if number and number != {"https": 443, "http": 80}[url.scheme] else ""
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return Endpoint(f"{url.scheme}://{host}{port}", key)


class Client:
    """One router, for the move and for the command. Use it as an async context manager."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        trust: str | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        tries: int = _TRIES,
    ) -> None:
        self.endpoint = endpoint
        self.requests = 0
        self.writes = 0
        self._trust = trust
        self._tries = tries
        self._clock = clock or SystemClock()
        self._ids = ids or Ids()
        self._version = PREVIEW
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=_trusting(self._trust)),
            timeout=aiohttp.ClientTimeout(total=60),
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def settle_version(self) -> None:
        """Finds out which version the service speaks: the later one knows workers' maxConcurrentOffers."""
        try:
            await self._send("GET", "/routing/distributionPolicies", {"maxpagesize": "1"})
        except Refused as refusal:
            if refusal.status not in (400, 404):
                raise
            self._version = GA
            await self._send("GET", "/routing/distributionPolicies", {"maxpagesize": "1"})

    async def list(self, kind: Kind) -> AsyncIterator[Document]:
        """Everything of a kind, page by page; what moves between pages may come twice."""
        for query in kind.lists:
            path, parameters = f"/routing/{kind.path}", {**query, "maxpagesize": _PAGE}
            while True:
                page = await self._send("GET", path, parameters)
                for item in page.get("value", []):
                    yield item
                link = page.get("nextLink")
                if not link:
                    break
                path, parameters = self._next(str(link)), {}

    async def get(self, kind: Kind, id: str, part: str = "", query: Mapping[str, str] | None = None) -> Document:
        """A resource, or a part of it such as `/statistics`. Raises Refused."""
        return await self._send("GET", f"{_path(kind, id)}{part}", query or {})

    async def read(self, path: str, query: Mapping[str, str]) -> Document:
        """What stands at a path, such as `/routing/history`. Raises Refused."""
        return await self._send("GET", path, query)

    async def follow(self, link: str) -> Document:
        """The page that a `nextLink` leads to. Raises Refused."""
        return await self._send("GET", self._next(link), {})

    async def upsert(
        self, kind: Kind, id: str, body: Document, *, new: bool = False, etag: str | None = None
    ) -> Document:
        """Writes a resource; `new`: only if there is none of that id, `etag`: only if it still has this one (412
        otherwise). Raises Refused."""
        headers = {"If-None-Match": "*"} if new else {}
        if etag is not None:
            headers["If-Match"] = etag
        self.writes += 1
        return await self._send("PATCH", _path(kind, id), {}, body, headers)

    async def act(self, kind: Kind, id: str, action: str, body: Document | None = None) -> Document:
        """An action such as `:cancel`. Raises Refused."""
        self.writes += 1
        return await self._send("POST", f"{_path(kind, id)}{action}", {}, body or {})

    async def delete(self, kind: Kind, id: str, *, etag: str | None = None) -> None:
        """Fine where it is not there; `etag`: only if it still has this one (412 otherwise). Raises Refused."""
        self.writes += 1
        await self._send("DELETE", _path(kind, id), {}, headers={"If-Match": etag} if etag is not None else {})

    def _next(self, link: str) -> str:
        parts = urlsplit(link)
        if parts.netloc and parts.netloc != self.endpoint.host:
            raise MigrationError(f"{self.endpoint.host} links to a page on {parts.netloc}: not followed.")
        # The link may name its version, or not: it is added below either way.
        query = "&".join(part for part in parts.query.split("&") if not part.lower().startswith("api-version="))
        return f"{parts.path}?{query}"

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Document | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Document:
        parameters = urlencode({**query, "api-version": self._version})
        target = f"{path}{'&' if '?' in path else '?'}{parameters}"
        content = json.dumps(body).encode() if body is not None else b""
        for attempt in range(self._tries):
            pause = min(0.25 * 2**attempt, _LONGEST_PAUSE)
            try:
                status, answered, document = await self._once(method, target, content, headers or {})
            except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
                raise MigrationError(
                    f"The certificate of {self.endpoint.host} is not trusted ({error}). --trust FILE names one that is."
                ) from None
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                reason = f"{type(error).__name__}: {error}"
            else:
                if status < 300:
                    return document
                refusal = _refusal(status, document)
                if status in (401, 403):
                    raise MigrationError(f"{self.endpoint.host} does not accept the access key: {refusal}")
                if status not in _AGAIN:
                    raise refusal
                reason = str(refusal)
                pause = max(pause, min(_seconds(answered.get("Retry-After")), 2 * _LONGEST_PAUSE))
            if attempt < self._tries - 1:
                # Spread out: callers that were cut off together must not come back together.
                await asyncio.sleep(pause * (1 + self._ids.fraction() / 4))
        raise NoAnswer(self.endpoint.host, f"{method} {path}", reason)

    async def _once(
        self, method: str, target: str, content: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], Document]:
        assert self._session is not None
        self.requests += 1
        kind = {"Content-Type": _CONTENT[method]} if method in _CONTENT else {}
        signed = {**headers, **kind, **self._signature(method, target, content)}
        url = URL(f"{self.endpoint.url}{target}", encoded=True)
        async with self._session.request(
            method, url, data=content or None, headers=signed, allow_redirects=False
        ) as answer:
            text = await answer.read()
            try:
                document = json.loads(text) if text else {}
            except ValueError:
                document = {}
            return answer.status, answer.headers, document if isinstance(document, dict) else {}

    def _signature(self, method: str, target: str, content: bytes) -> dict[str, str]:
        date = format_datetime(self._clock.now(), usegmt=True)
        digest = b64encode(hashlib.sha256(content).digest()).decode()
        text = f"{method}\n{target}\n{date};{self.endpoint.host};{digest}"
        signature = b64encode(hmac.digest(self.endpoint.key, text.encode(), "sha256")).decode()
        return {
            "Host": self.endpoint.host,
            "x-ms-date": date,
            "x-ms-content-sha256": digest,
            "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
        }


def _path(kind: Kind, id: str) -> str:
    return f"/routing/{kind.path}/{quote(id, safe='')}"


def _trusting(file: str | None) -> ssl.SSLContext | bool:
    """What certificates are held against: the file, or what this machine trusts."""
    if file is None:
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        raise MigrationError(f"The certificate file {file} cannot be read: {error}") from None


def _seconds(value: str | None) -> float:
    try:
        return max(float(value or 0), 0.0)
    except ValueError:
        return 0.0


def _refusal(status: int, document: Document) -> Refused:
    error: Any = document.get("error")
    if not isinstance(error, dict):
        return Refused(status, "Unknown", "no reason was given")
    details = error.get("details") or []
    more = [str(one.get("message")) for one in details if isinstance(one, dict) and one.get("message")]
    message = str(error.get("message") or "")
    told = " ".join([message, *(text for text in more if text not in message)])
    return Refused(status, str(error.get("code") or "Unknown"), told)
