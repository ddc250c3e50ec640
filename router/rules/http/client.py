"""The client that calls the endpoints of function and webhook rules."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

from router.models.types import whole_numbers
from router.rules.failure import RuleCallError
from router.rules.http.tokens import TokenCache
from router.rules.uris import MAX_URI, is_secure

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import AbstractResolver
    from yarl import URL

    from router.models.rules import FunctionRouterRuleCredential

# aiohttp is imported on first use: most routers have no such rules.

_CHUNK = 64 * 1024


@dataclass(frozen=True)
class RuleHttpLimits:
    """How long and how much a rule's endpoint may take. `total` bounds everything, tokens and retries included."""

    total: float = 10.0
    attempt: float = 3.0
    retries: int = 2
    backoff: float = 0.2
    response_bytes: int = 1024 * 1024


class RuleHttpClient:
    """Posts JSON and reads JSON, under limits and with no way to reach the platform's own addresses.

    Nothing of a credential, nor of a URI beyond its host, goes into an error; this module logs nothing.
    """

    def __init__(
        self,
        *,
        allow_private_networks: bool = False,
        allow_http_loopback: bool = False,
        limits: RuleHttpLimits | None = None,
        jitter: Callable[[], float],
        resolver: AbstractResolver | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`jitter` yields numbers in [0, 1); `resolver` is for tests."""
        self._allow_private = allow_private_networks
        self._allow_loopback = allow_http_loopback
        self._limits = limits or RuleHttpLimits()
        self._jitter = jitter
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None
        self._tokens = TokenCache(monotonic)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post_function(
        self, rule_uri: str, credential: FunctionRouterRuleCredential | None, payload: Mapping[str, Any]
    ) -> Any:
        """What the function answers, parsed; RuleCallError otherwise. The credential is in the clear."""
        headers: dict[str, str] = {}
        if credential is not None:
            key = credential.function_key or credential.app_key
            if key:
                headers["x-functions-key"] = key
            if credential.client_id:
                headers["x-functions-clientid"] = credential.client_id
        async with _total_limit(self._limits.total):
            return await self._post_json("function", rule_uri, payload, headers)

    async def post_webhook(
        self,
        uri: str,
        authorization_server_uri: str | None,
        client_id: str | None,
        client_secret: str | None,
        payload: Mapping[str, Any],
    ) -> Any:
        """What the webhook answers, parsed; RuleCallError otherwise. Without an authorization server: no token."""
        async with _total_limit(self._limits.total):
            if not authorization_server_uri:
                return await self._post_json("webhook", uri, payload, {})
            if not client_id or not client_secret:
                raise RuleCallError(
                    "RuleCredentialMissing", "The webhook rule needs a client id and a client secret to get a token."
                )
            credential = (authorization_server_uri, client_id, client_secret)

            async def fetch() -> Any:
                server, client, secret = credential
                form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
                return await self._post_form("authorization server", server, form)

            token, cached = await self._tokens.get(credential, fetch)
            try:
                return await self._post_json("webhook", uri, payload, {"Authorization": f"Bearer {token}"})
            except RuleCallError as failure:
                if failure.code != "RuleUnauthorized":
                    raise
                self._tokens.forget(credential)
                if not cached:
                    raise
            # The token was revoked before its time: once more, with a fresh one.
            token, _ = await self._tokens.get(credential, fetch)
            return await self._post_json("webhook", uri, payload, {"Authorization": f"Bearer {token}"})

    async def _post_json(self, who: str, uri: str, payload: Mapping[str, Any], headers: dict[str, str]) -> Any:
        body = json.dumps(whole_numbers(payload), allow_nan=False, separators=(",", ":")).encode()
        return await self._post(who, uri, body, {"Content-Type": "application/json", **headers})

    async def _post_form(self, who: str, uri: str, form: Mapping[str, str]) -> Any:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return await self._post(who, uri, urlencode(form).encode(), headers)

    async def _post(self, who: str, uri: str, body: bytes, headers: Mapping[str, str]) -> Any:
        """One call with its retries: after a 5xx and after a time-out, and for no other cause."""
        url = self._check(who, uri)
        if not all(value.isascii() and value.isprintable() for value in headers.values()):
            raise RuleCallError("RuleCredentialInvalid", f"The credential for {_name(who, url)} is not plain text.")
        for attempt in range(self._limits.retries + 1):
            try:
                return await self._attempt(who, url, body, headers)
            except RuleCallError as failure:
                if failure.code not in ("RuleTimedOut", "RuleServerError") or attempt == self._limits.retries:
                    raise
            await asyncio.sleep(self._limits.backoff * 2**attempt * (0.5 + self._jitter()))
        raise AssertionError("unreachable")

    def _check(self, who: str, uri: str) -> URL:
        from yarl import URL

        if len(uri) > MAX_URI:
            raise RuleCallError("RuleUriInvalid", f"The URI of the {who} is longer than {MAX_URI} characters.")
        try:
            url = URL(uri)
            host, valid = url.host, url.port is not None
        except ValueError:
            host, valid = None, False
        if not valid or not host:
            raise RuleCallError("RuleUriInvalid", f"The URI of the {who} is not an absolute https URI.")
        if url.user is not None or url.password is not None:
            raise RuleCallError("RuleUriInvalid", f"The URI of the {who} must not hold a user name or a password.")
        if not is_secure(url.scheme, host, http_on_loopback=self._allow_loopback):
            raise RuleCallError("RuleUriInvalid", f"The URI of the {who} at {host} must be https.")
        return url

    async def _attempt(self, who: str, url: URL, body: bytes, headers: Mapping[str, str]) -> Any:
        import aiohttp

        session = self._session or self._open_session()
        name = _name(who, url)
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                _check_status(name, response.status)
                return _parse(name, await _read(name, response, self._limits.response_bytes))
        except TimeoutError:
            raise RuleCallError("RuleTimedOut", f"{name} did not answer within {self._limits.attempt:g} s.") from None
        except aiohttp.ClientConnectorError as error:
            if "forbidden address" in str(error.os_error):
                raise RuleCallError(
                    "RuleAddressForbidden", f"{name} has an address that rules must not call."
                ) from None
            raise RuleCallError("RuleUnreachable", f"{name} cannot be reached.") from None
        except (aiohttp.ClientError, OSError, ValueError):
            # Their texts may quote the URI, and with it a key in its query.
            raise RuleCallError("RuleUnreachable", f"{name} cannot be reached, or does not speak HTTP.") from None

    def _open_session(self) -> aiohttp.ClientSession:
        import aiohttp

        from router.rules.http.addresses import AddressPolicy, OwnThreadsResolver

        policy = AddressPolicy(allow_private=self._allow_private, allow_loopback=self._allow_loopback)
        connector = aiohttp.TCPConnector(
            resolver=self._resolver or OwnThreadsResolver(),
            socket_factory=policy.open_socket,
            limit=512,
            limit_per_host=32,  # an endpoint that hangs keeps only its own callers waiting
            ttl_dns_cache=10,
            keepalive_timeout=4,  # shorter than any server's: a POST on a connection it has closed would fail
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._limits.attempt, ceil_threshold=60),
            headers={"User-Agent": "job-router", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        return self._session


@asynccontextmanager
async def _total_limit(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise RuleCallError("RuleTimedOut", f"The rule took longer than {seconds:g} s.") from None


def _name(who: str, url: URL) -> str:
    return f"The {who} at {url.host}"


def _check_status(name: str, status: int) -> None:
    if status == 200:
        return
    if 300 <= status < 400:
        raise RuleCallError("RuleRedirected", f"{name} answered {status}; redirects are not followed.")
    if status == 401:
        raise RuleCallError("RuleUnauthorized", f"{name} answered 401: it did not accept the credential.")
    code = "RuleServerError" if status >= 500 else "RuleStatus"
    raise RuleCallError(code, f"{name} answered {status}, not 200.")


async def _read(name: str, response: aiohttp.ClientResponse, limit: int) -> bytes:
    too_long = RuleCallError("RuleAnswerTooLong", f"{name} answered with more than {limit} bytes.")
    if (response.content_length or 0) > limit:
        response.close()
        raise too_long
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > limit:
            response.close()  # drops the connection: the rest is not read
            raise too_long
    return bytes(body)


def _parse(name: str, body: bytes) -> Any:
    """The content type does not count: functions that answer a bare number often say `text/plain`."""
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RuleCallError("RuleAnswerInvalid", f"{name} answered with something other than JSON.") from None


def _no_constant(text: str) -> Any:
    raise ValueError(text)
