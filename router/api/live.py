"""Handlers of GetLive and GetRights (beyond ACS): what happens now, and what the caller may do."""

from __future__ import annotations

from typing import Final

from router.api.call import Call, Reply
from router.engine.ownership import Own
from router.models.rights import Right, foremost
from router.wire.conditions import names_etag
from router.wire.encodings import takes_gzip
from router.wire.query import read_live

_GZIP: Final = {"Content-Encoding": "gzip"}


async def live(call: Call) -> Reply:
    request = read_live(call.query, call.operation, call.token_keys)
    queue_id, since = request.filter
    assert call.live is not None
    asked = call.headers.get("if-none-match", "")
    known = await call.live.etag(queue_id=queue_id, own=call.own, after=request.position) if asked else None
    if known is not None and names_etag(asked, known):
        return Reply(304, headers={"ETag": f'W/"{known}"'})
    answer = await call.live.answer(queue_id=queue_id, own=call.own, since=since, after=request.position)
    headers = {"ETag": f'W/"{answer.view.etag}"'}
    if names_etag(asked, answer.view.etag):
        return Reply(304, headers=headers)
    link = request.next_link(answer.view.next, call.token_keys)
    takes = takes_gzip(call.headers.get("accept-encoding", ""))
    content, zipped = await call.live.content(answer, link, zipped=takes)
    return Reply(headers={**headers, **_GZIP} if zipped else headers, content=content)


async def rights(call: Call) -> Reply:
    caller = call.caller
    assert call.live is not None
    own = Own(caller.object_id)
    has_worker = Right.AGENT in caller.rights and caller.object_id is not None
    body = {
        "right": str(foremost(caller.rights)),
        "rights": sorted(map(str, caller.rights)),
        "workerId": await call.live.own_worker(own) if has_worker else None,
        "signIn": caller.kind,
    }
    return Reply(body=body)
