"""Bodies as they come in: bounded in time, each in size, and all that are being read together in memory."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Final

from aiohttp import ClientError, web

from local.host.pace import Pace, Patience

LONGEST_SECONDS: Final = 20.0
MOST_BYTES: Final = 24 * 1024 * 1024
LARGEST: Final = 4 * 1024 * 1024
#: Pieces that are read in one turn of the event loop, each as large as a connection reads at once (server.py).
_A_TURN: Final = 4


class Bodies:
    """Those of one kind of caller: what some hold back does not count against the others."""

    def __init__(
        self,
        seconds: float = LONGEST_SECONDS,
        most: int = MOST_BYTES,
        largest: int = LARGEST,
        ahead: Pace | None = None,
    ) -> None:
        """Of what waits in `ahead` more is done than is read of bodies."""
        self._seconds = seconds
        self._most = most
        self._largest = largest
        #: Bytes of bodies that are not complete yet.
        self.reading = 0
        self._pace = Pace(_A_TURN, ahead)
        self._order = count()

    async def read(self, request: web.BaseRequest, patience: Patience | None = None) -> bytes | web.Response:
        """The body, or what to answer instead: it does not come to its end in time (408), is too large (413), or there
        is no room for it now, or no turn for as long as it has patience (503)."""
        if not request.can_read_body:
            return b""
        if (request.content_length or 0) > self._largest:
            return _closing(413)
        patience = patience or Patience(None)
        chunks: list[bytes] = []
        size = 0
        place = next(self._order)  # the one that came first comes to its end first, and gives back its memory
        try:
            async with asyncio.timeout(self._seconds):
                while not request.content.at_eof():
                    try:
                        await patience.turn(self._pace, place)
                    except TimeoutError:
                        return busy()
                    chunk = await request.content.readany()
                    size += len(chunk)
                    self.reading += len(chunk)
                    if size > self._largest:
                        return _closing(413)
                    if self.reading > self._most and self.reading > size:
                        return busy()
                    chunks.append(chunk)
        except TimeoutError:
            return _closing(408)
        except (ClientError, ConnectionError):
            return _closing(400)  # it has left: nobody reads this
        finally:
            self.reading -= size
        return b"".join(chunks)


def busy() -> web.Response:
    """What a request is answered for which there is no room or no time."""
    return _closing(503, {"Retry-After": "1"})


def _closing(status: int, headers: dict[str, str] | None = None) -> web.Response:
    response = web.Response(status=status, headers=headers)
    response.force_close()  # the rest of the body is not waited for
    return response
