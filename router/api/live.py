"""Handlers of GetLive and GetRights (beyond ACS): what happens now, and what the caller may do."""

from __future__ import annotations

from router.api.call import Call, Reply
from router.engine.ownership import Own
from router.models.rights import Right, foremost
from router.wire.conditions import names_etag
from router.wire.encodings import takes_gzip
from router.wire.query import read_live


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
    content = answer.view.content
    if (link := request.next_link(answer.view.next, call.token_keys)) is not None:
        content += f',"nextLink":"{link}"'.encode()
    content += b"}"
    if takes_gzip(call.headers.get("accept-encoding", "")):
        zipped = await call.live.zipped(answer, content)
        if zipped is not None:
            return Reply(headers={**headers, "Content-Encoding": "gzip"}, content=zipped)
    return Reply(headers=headers, content=content)


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
