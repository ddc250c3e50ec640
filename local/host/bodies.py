"""Bodies as they come in: bounded in time, each in size, and all that are being read together in memory."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import ClientError, web

LONGEST_SECONDS: Final = 20.0
MOST_BYTES: Final = 24 * 1024 * 1024
LARGEST: Final = 4 * 1024 * 1024


class Bodies:
    """Those of one kind of caller: what some hold back does not count against the others."""

    def __init__(self, seconds: float = LONGEST_SECONDS, most: int = MOST_BYTES, largest: int = LARGEST) -> None:
        self._seconds = seconds
        self._most = most
        self._largest = largest
        #: Bytes of bodies that are not complete yet.
        self.reading = 0

    async def read(self, request: web.BaseRequest) -> bytes | web.Response:
        """The body, or what to answer instead: it does not come to its end in time (408), is too large (413), or there
        is no room for it now (503)."""
        if not request.can_read_body:
            return b""
        if (request.content_length or 0) > self._largest:
            return _closing(413)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._seconds):
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    self.reading += len(chunk)
                    if size > self._largest:
                        return _closing(413)
                    if self.reading > self._most and self.reading > size:
                        return _closing(503, {"Retry-After": "1"})
                    chunks.append(chunk)
        except TimeoutError:
            return _closing(408)
        except (ClientError, ConnectionError):
            return _closing(400)  # it has left: nobody reads this
        finally:
            self.reading -= size
        return b"".join(chunks)


def _closing(status: int, headers: dict[str, str] | None = None) -> web.Response:
    response = web.Response(status=status, headers=headers)
    response.force_close()  # the rest of the body is not waited for
    return response
