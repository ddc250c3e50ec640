"""What the web server of the real host (Kestrel, with its defaults) refuses before any function is asked, with an empty
body (https://learn.microsoft.com/dotnet/api/microsoft.aspnetcore.server.kestrel.core.kestrelserverlimits)."""

from __future__ import annotations

import re
from typing import Final, TypedDict

from aiohttp.http_parser import RawRequestMessage

_REQUEST_LINE: Final = 8 * 1024
_HEADERS_TOTAL: Final = 32 * 1024
_HEADERS: Final = 100
#: A host with a port or without; more than that only for the sake of old clients (docs/local-host.md).
_HOST: Final = re.compile(rb"[^\x00-\x20\x7f-\xff/?#@]*")


#: A target in absolute form, and the host that it names: no other than the header does.
_ABSOLUTE: Final = re.compile(rb"https?://([^/?]*)", re.IGNORECASE)
_PORT: Final = re.compile(rb":(?:80|443)?$")


class ParserLimits(TypedDict):
    max_line_size: int
    max_field_size: int


#: So much reaches `refused_by_the_web_server`; beyond it the parser itself answers 400.
PARSER_LIMITS: Final[ParserLimits] = {"max_line_size": 64 * 1024, "max_field_size": 64 * 1024}


def refused_by_the_web_server(message: RawRequestMessage) -> int | None:
    """The status of a refusal; None for a request that is let in."""
    target = message.path.encode("utf-8", "surrogateescape")
    if len(message.method) + len(target) + len(" HTTP/1.1  ") > _REQUEST_LINE:
        return 414
    if not target.isascii():
        return 400
    if len(message.raw_headers) > _HEADERS:
        return 431
    if sum(len(name) + len(value) + len(": \r\n") for name, value in message.raw_headers) > _HEADERS_TOTAL:
        return 431
    hosts = [value for name, value in message.raw_headers if name.lower() == b"host"]
    if len(hosts) > 1 or not all(_HOST.fullmatch(host) for host in hosts):
        return 400
    named = _ABSOLUTE.match(target)
    if named is not None and not any(_same(host, named[1]) for host in hosts):
        return 400
    for _, value in message.raw_headers:
        try:
            value.decode()
        except UnicodeDecodeError:
            return 400
    return None


def _same(host: bytes, authority: bytes) -> bool:
    return _PORT.sub(b"", host).lower() == _PORT.sub(b"", authority).lower()
