"""Handler of GetRights (beyond ACS): what the caller may do."""

from __future__ import annotations

from router.api.call import Call, Reply
from router.models.rights import foremost


async def rights(call: Call) -> Reply:
    caller = call.caller
    body = {
        "right": str(foremost(caller.rights)),
        "rights": sorted(map(str, caller.rights)),
        "workerId": None,
        "signIn": caller.kind,
    }
    return Reply(body=body)
