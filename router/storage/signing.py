"""What shows an account that a request may be made: a signature with its key (Azure documentation, "Authorize with
Shared Key", for tables), or a token of Microsoft Entra ID ("Authorize with Microsoft Entra ID").

The SDK's pipeline takes longer for either than for all else that a request needs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final, Protocol, cast
from wsgiref.handlers import format_date_time

from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from yarl import URL

_SCOPE: Final = "https://storage.azure.com/.default"
#: A token is renewed so long before its end, as the SDK does.
_EARLY_SECONDS: Final = 300.0


class Authorization(Protocol):
    async def signed(self, method: str, url: URL, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers, with the date and what shows that the request may be made. Raises AzureError."""
        ...

    def refused(self) -> None:
        """The account does not take what was shown (401)."""


class _Dates:
    """The time as HTTP writes it: the same for all requests of a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def headers(self) -> dict[str, str]:
        now = int(time.time())
        if now != self._second:
            self._second, self._text = now, format_date_time(now)
        return {"Date": self._text, "x-ms-date": self._text}


class SharedKey:
    def __init__(self, credential: AzureNamedKeyCredential) -> None:
        self._credential = credential
        self._key = ""
        self._begun = hmac.new(b"", digestmod=hashlib.sha256)
        self._dates = _Dates()

    async def signed(self, method: str, url: URL, headers: Mapping[str, str]) -> dict[str, str]:
        name, key = self._credential.named_key
        if key != self._key:
            self._key, self._begun = key, hmac.new(base64.b64decode(key), digestmod=hashlib.sha256)
        dates = self._dates.headers()
        digest = self._begun.copy()
        kind = headers.get("Content-Type", "")
        digest.update(f"{method}\n\n{kind}\n{dates['x-ms-date']}\n/{name}{url.raw_path}".encode())
        signature = base64.b64encode(digest.digest()).decode()
        return {**headers, **dates, "Authorization": f"SharedKey {name}:{signature}"}

    def refused(self) -> None:
        """Another signature would be the same."""


class Token:
    def __init__(self, credential: AsyncTokenCredential) -> None:
        self._credential = credential
        self._token: AccessToken | None = None
        self._renewing = asyncio.Lock()
        self._dates = _Dates()

    async def signed(self, method: str, url: URL, headers: Mapping[str, str]) -> dict[str, str]:
        token = self._good() or await self._new()
        return {**headers, **self._dates.headers(), "Authorization": f"Bearer {token.token}"}

    def refused(self) -> None:
        self._token = None

    def _good(self) -> AccessToken | None:
        token = self._token
        return token if token is not None and token.expires_on - time.time() > _EARLY_SECONDS else None

    async def _new(self) -> AccessToken:
        async with self._renewing:  # those who come meanwhile take the same
            if (token := self._good()) is None:
                token = self._token = await self._credential.get_token(_SCOPE)
            return token


def authorization_of(credential: object) -> Authorization | None:
    """None for one that only the SDK knows, such as a shared access signature."""
    if isinstance(credential, AzureNamedKeyCredential):
        return SharedKey(credential)
    return Token(cast(AsyncTokenCredential, credential)) if hasattr(credential, "get_token") else None
