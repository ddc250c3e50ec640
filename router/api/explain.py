"""Handler of ExplainJob (beyond ACS): why a job is where it is."""

from __future__ import annotations

from urllib.parse import quote

from router.api.call import Call, Reply
from router.models.types import format_time
from router.usecases import explain as explain_usecases
from router.usecases import timelines
from router.wire.query import read_list, read_time


async def explain(call: Call) -> Reply:
    path = f"/{call.operation.route}".replace("{jobId}", _encoded(call.id))
    if (at := read_time(call.query, "at")) is not None:
        return Reply(body=await timelines.explain_at(call.parts, call.id, at))
    request = read_list(call.query, call.operation, call.token_keys, path)
    found = await explain_usecases.explain(call.parts, call.id, request.size, request.position)
    body = {
        "jobId": found.job_id,
        "status": str(found.status),
        "summary": found.summary,
        "workers": [
            {
                "workerId": one.worker_id,
                "qualifies": one.reason is None,
                **({} if one.reason is None else {"reason": one.reason.code, "message": one.reason.message}),
            }
            for one in found.workers
        ],
        "next": [{"at": format_time(one.at), "what": one.what, "message": one.message} for one in found.following],
    }
    if (link := request.next_link(found.after, call.token_keys)) is not None:
        body["nextLink"] = link
    return Reply(body=body)


def _encoded(id: str) -> str:
    return quote(id, safe="")
