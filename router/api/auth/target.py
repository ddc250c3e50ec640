"""The request target as the client sent it, read from what the Functions host hands over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

_UNENCODED_URL = "x-waws-unencoded-url"
_AFTER_AUTHORITY = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_SLASHES = re.compile(r"[/\\]+")


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """Path and query, undecoded. `known` is false where the platform may have encoded them anew."""

    value: str
    known: bool

    @property
    def path(self) -> str:
        return self.value.partition("?")[0]

    @property
    def query(self) -> str:
        return self.value.partition("?")[2]


class TargetReader:
    """Finds the raw target.

    `on_app_service`: the front end sets X-WAWS-Unencoded-URL; elsewhere a caller could, so it is ignored.
    `url_is_raw`: the host passes the target in the URL as it came (the Functions host rebuilds it).
    """

    def __init__(self, *, on_app_service: bool, url_is_raw: bool = False) -> None:
        self._on_app_service = on_app_service
        self._url_is_raw = url_is_raw

    def read(self, url: str, headers: Mapping[str, str]) -> RequestTarget:
        """`url` and `headers` of an azure.functions.HttpRequest."""
        target = _AFTER_AUTHORITY.sub("", url, count=1).partition("#")[0]
        if not target.startswith("/"):
            target = "/" + target
        if self._on_app_service:
            unencoded = headers.get(_UNENCODED_URL)
            if unencoded and _same_resource(unencoded, target):
                return RequestTarget(unencoded, True)
            return RequestTarget(target, False)
        return RequestTarget(target, self._url_is_raw)


def _same_resource(unencoded: str, rebuilt: str) -> bool:
    """Whether both targets lead to one resource: what was signed must be what is carried out.

    The front end decodes the path, takes a backslash for a slash and joins slashes; it leaves the query alone.
    """
    path, _, query = unencoded.partition("?")
    rebuilt_path, _, rebuilt_query = rebuilt.partition("?")
    return query == rebuilt_query and _plain(path) == _plain(rebuilt_path)


def _plain(path: str) -> str:
    return _SLASHES.sub("/", unquote(unquote(path)))
