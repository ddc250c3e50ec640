"""Who did it: every operation that changes something, by every kind of caller, leaves one entry with that caller, and
no secret in any."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from router.api.auth.authenticate import Authenticator
from router.api.auth.hmac import AccessKeys
from router.models.operations import OPERATIONS
from router.models.rights import RIGHTS, Reach, Right
from router.upkeep.deadlines import HANDLERS
from router.upkeep.facts import FactCounter
from tests.memory_router import in_virtual_time
from tests.unit.api.api_caller import Answer, Caller
from tests.unit.auth.signed_wire import KEY, OTHER_KEY
from tests.unit.auth.test_auth_rights import Tokens

SECRET: Final = "c2VjcmV0cyB0aGF0IG5vYm9keSBzZWVzISEhMTIzNDU="
READ_KEY: Final = "cmVhZGluZyByZWFkaW5nIHJlYWRpbmcgcmVhZGluZyE="
#: What no entry may have: keys, tokens' words, and what rules sign in with.
NEVER: Final = (KEY, OTHER_KEY, READ_KEY, SECRET, "hush-function", "hush-app", "hush-client", "hush-token", "sealed")
#: Whose worker an agent is.
ME: Final = "0f3f3a5e-58cf-4a2b-9a39-9b9c6a1c0001"
CHANGES: Final = [one.name for one in OPERATIONS if one.method != "GET"]
FUNCTION: Final = {
    "kind": "function",
    "functionUri": "https://f.example/api",
    "credential": {"functionKey": "hush-function", "appKey": "hush-app"},
}
WEBHOOK: Final = {
    "kind": "webhook",
    "webhookUri": "https://w.example/api",
    "authorizationServerUri": "https://s.example/token",
    "clientCredential": {"clientId": "known", "clientSecret": "hush-client"},
}


@dataclass(frozen=True)
class By:
    """A caller, how the history names it, and its right."""

    name: str
    actor: Mapping[str, str]
    right: Right
    options: Mapping[str, Any] = field(default_factory=dict)


def _bearer(right: Right) -> By:
    headers = {"authorization": f"Bearer Router.{right},hush-token@{ME}"}
    return By(f"Router.{right}", {"kind": "entra", "name": ME}, right, {"headers": headers})


CALLERS: Final = [
    By("primary key", {"kind": "key", "name": "primary"}, Right.ADMIN),
    By("secondary key", {"kind": "key", "name": "secondary"}, Right.ADMIN, {"key": OTHER_KEY}),
    By("reading key", {"kind": "key", "name": "reading"}, Right.READ, {"key": READ_KEY}),
    *map(_bearer, Right),
]

Prepared = tuple[tuple[str, ...], dict[str, Any]]
Act = Callable[[Caller], Awaitable[Prepared]]


def _caller() -> Caller:
    call = Caller(secrets=SECRET)
    tokens: Any = Tokens()
    call.gate.authenticator = Authenticator(AccessKeys([KEY, OTHER_KEY], [READ_KEY]), tokens, roles_required=True)
    return call


async def _done(answer: Awaitable[Answer]) -> Any:
    found = await answer
    assert found.status < 300, found.body
    return found.body if found.raw else None


async def _policies(call: Caller) -> None:
    rule = {"id": "r", "trigger": {"kind": "queueLength", "threshold": 9}, "actions": [{"kind": "cancel"}]}
    await _done(call("UpsertExceptionPolicy", "e", body={"exceptionRules": [rule]}))
    await _done(call("UpsertClassificationPolicy", "c", body={"prioritizationRule": FUNCTION}))


async def _offered(call: Caller) -> str:
    await call.settings()
    await _done(call.worker(ME))
    await _done(call.job("j"))
    await asyncio.sleep(0.1)
    (offer,) = (await _done(call("GetWorker", ME)))["offers"]
    return str(offer["offerId"])


async def _assigned(call: Caller) -> str:
    return str((await _done(call("AcceptJobOffer", ME, await _offered(call))))["assignmentId"])


async def _completed(call: Caller) -> str:
    assignment = await _assigned(call)
    await _done(call("CompleteJob", "j", assignment))
    return assignment


async def _classification(call: Caller) -> Prepared:
    selector = {"kind": "ruleEngine", "rule": FUNCTION}
    return ("c",), {
        "body": {
            "prioritizationRule": WEBHOOK,
            "queueSelectorAttachments": [selector],
            "workerSelectorAttachments": [selector],
        }
    }


async def _distribution(call: Caller) -> Prepared:
    return ("d",), {"body": {"mode": {"kind": "bestWorker", "scoringRule": WEBHOOK}, "offerExpiresAfterSeconds": 60}}


async def _exception(call: Caller) -> Prepared:
    return ("e",), {"body": {"exceptionRules": []}}


async def _queue(call: Caller) -> Prepared:
    await call.settings()
    return ("other",), {"body": {"distributionPolicyId": "q"}}


async def _job(call: Caller) -> Prepared:
    await call.settings()
    return ("j",), {"body": {"channelId": "voice", "queueId": "q"}}


async def _worker(call: Caller) -> Prepared:
    await call.settings()
    await _done(call.worker(ME, availableForOffers=False))
    return (ME,), {"body": {"availableForOffers": True}}


async def _setting(call: Caller, kind: str) -> Prepared:
    await _policies(call)
    await call.settings()
    if kind == "DistributionPolicy":
        await _done(call("UpsertDistributionPolicy", "d", body={"mode": {"kind": "longestIdle"}}))
    return ({"ExceptionPolicy": "e", "ClassificationPolicy": "c", "DistributionPolicy": "d", "Queue": "q"}[kind],), {}


async def _gone_job(call: Caller) -> Prepared:
    await call.settings()
    await _done(call.job("j"))
    await _done(call("CancelJob", "j"))
    return ("j",), {}


async def _gone_worker(call: Caller) -> Prepared:
    await call.settings()
    await _done(call.worker(ME))
    return (ME,), {}


async def _waiting(call: Caller) -> Prepared:
    await call.settings()
    await _done(call.job("j"))
    return ("j",), {}


async def _classified(call: Caller) -> Prepared:
    await call.settings()
    await _done(call("UpsertClassificationPolicy", "c", body={"fallbackQueueId": "q"}))
    await _done(call("UpsertJob", "j", body={"channelId": "voice", "classificationPolicyId": "c"}))
    return ("j",), {}


async def _of_offer(call: Caller) -> Prepared:
    return (ME, await _offered(call)), {}


async def _of_assigned(call: Caller) -> Prepared:
    return ("j", await _assigned(call)), {}


async def _of_completed(call: Caller) -> Prepared:
    return ("j", await _completed(call)), {}


#: By operation: what there must be before, and its ids and options.
ACTS: Final[Mapping[str, Act]] = {
    "UpsertClassificationPolicy": _classification,
    "UpsertDistributionPolicy": _distribution,
    "UpsertExceptionPolicy": _exception,
    "UpsertQueue": _queue,
    "UpsertJob": _job,
    "UpsertWorker": _worker,
    "DeleteClassificationPolicy": lambda call: _setting(call, "ClassificationPolicy"),
    "DeleteDistributionPolicy": lambda call: _setting(call, "DistributionPolicy"),
    "DeleteExceptionPolicy": lambda call: _setting(call, "ExceptionPolicy"),
    "DeleteQueue": lambda call: _setting(call, "Queue"),
    "DeleteJob": _gone_job,
    "DeleteWorker": _gone_worker,
    "CancelJob": _waiting,
    "ReclassifyJob": _classified,
    "AcceptJobOffer": _of_offer,
    "DeclineJobOffer": _of_offer,
    "CompleteJob": _of_assigned,
    "CloseJob": _of_completed,
    "UnassignJob": _of_assigned,
}


async def _entries(call: Caller) -> dict[str, dict[str, Any]]:
    await asyncio.sleep(20)
    found = [
        *(await _done(call("ListHistory", maxpagesize="1000")))["value"],
        *(await _done(call("ListChanges", maxpagesize="1000")))["value"],
    ]
    told = {one["eventId"]: one for one in found}
    assert len(told) == len(found)
    return told


def _everything_kept(call: Caller) -> str:
    """All that stands in the tables of histories and facts, in the log and in the rows of jobs and workers. Sealed
    secrets stand with the policies alone."""
    tables = ("history", "facts", "deadlines", "jobs", "workers")
    return json.dumps([dict(row.columns) for name in tables for row in call.process.tables.of(name).all()])


@pytest.mark.parametrize("by", CALLERS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", CHANGES)
@in_virtual_time
async def test_one_entry_with_who_did_it(name: str, by: By) -> None:
    call = _caller()
    ids, options = await ACTS[name](call)
    before = await _entries(call)
    answer = await call(name, *ids, **options, **by.options)
    after = await _entries(call)
    new = [one for key, one in after.items() if key not in before]
    named = [one["actor"] for one in new if one["actor"]["kind"] not in ("router", "deadline")]
    if RIGHTS[name][by.right] is Reach.NONE:
        assert answer.status == 403
        assert named == []
    else:
        assert answer.status < 300, answer.body
        assert named == [by.actor]
    text = json.dumps(list(after.values())) + _everything_kept(call)
    assert [one for one in NEVER if one in text] == []


@in_virtual_time
async def test_who_is_deleted_is_named_nowhere_neither_as_worker_nor_as_who_did_it() -> None:
    call = _caller()
    agent = _bearer(Right.AGENT).options
    offer = await _offered(call)
    assignment = str((await _done(call("AcceptJobOffer", ME, offer, **agent)))["assignmentId"])
    await asyncio.sleep(5)
    await _done(call("CompleteJob", "j", assignment, **agent))
    await _done(call("CloseJob", "j", assignment, **agent))
    await asyncio.sleep(30)
    await FactCounter(call.parts).count(call.parts.clock.now())
    await _done(call("DeleteJob", "j"))
    assert ME in _everything_kept(call)
    await _done(call("DeleteWorker", ME))
    await asyncio.sleep(61)
    for deadline in await call.process.deadlines("forget-worker"):
        await HANDLERS["forget-worker"](call.parts, deadline)
        await call.parts.deadlines.remove([deadline])
    told = (await _done(call("GetJobTimeline", "j")))["value"]
    assert [one["actor"] for one in told if one["actor"]["kind"] == "entra"] == [
        {"kind": "entra", "name": "deleted"}
    ] * 3
    tables = ("history", "facts", "deadlines", "jobs")
    rows = [
        (name, row.partition, row.row, dict(row.columns))
        for name in tables
        for row in call.process.tables.of(name).all()
    ]
    # Deadlines of what is gone stand until they are due, and do nothing then.
    told_of_it = [row for row in rows if ME in json.dumps(row) and (row[0] != "deadlines" or row[2].startswith("h~"))]
    assert told_of_it == []


@in_virtual_time
async def test_what_changes_nothing_and_what_is_refused_leave_no_entry() -> None:
    call = _caller()
    await call.settings()
    await _done(call.worker("w"))
    await _done(call.job("j"))
    before = await _entries(call)
    await call.settings()
    await _done(call.worker("w"))
    await _done(call.job("j"))
    assert (await call("DeleteQueue", "q")).status == 409
    assert (await call("UpsertJob", "k", body={"channelId": "voice", "queueId": "none"})).status == 400
    assert (await call("AcceptJobOffer", "w", "none")).status == 404
    assert await _entries(call) == before
