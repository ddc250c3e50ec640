"""Resources and pages of them as they are answered: what is long is written beside the event loop, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from router.api.call import Reply
from router.offload import LARGE, for_a_request
from router.storage.listing import is_place
from router.wire.documents import json_bytes, page_body
from router.wire.paging import Position, unknown_position
from router.wire.query import ListRequest

T = TypeVar("T")
#: Items that are written at once: each may be large.
_FEW: Final = 10


async def one_of(size: int, render: Callable[[], dict[str, Any]], status: int, headers: Mapping[str, str]) -> Reply:
    """The answer that shows one thing of about so many characters."""
    if size <= LARGE:
        return Reply(status, render(), headers)
    return Reply(status, headers=headers, content=await for_a_request(lambda: json_bytes(render())))


async def page_of(
    found: Sequence[T], render: Callable[[T], dict[str, Any]], size: Callable[[T], int], next_link: str | None
) -> Reply:
    """`size` of one, in about so many characters."""
    if len(found) <= _FEW and sum(map(size, found)) <= LARGE:
        return Reply(body=page_body([render(one) for one in found], next_link))
    return Reply(content=await for_a_request(_written, found, render, next_link))


def _written(found: Sequence[T], render: Callable[[T], dict[str, Any]], next_link: str | None) -> bytes:
    return json_bytes(page_body([render(one) for one in found], next_link))


def place_of(request: ListRequest[Any]) -> Position | None:
    """Where a list of jobs or workers goes on. Raises BadRequest."""
    if request.position is not None and not is_place(request.position[1]):
        raise unknown_position()
    return request.position
