"""Who may do what: every operation by every right, allowed and refused (docs/security.md, "Rights")."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from router.api.auth.authenticate import Authenticator, Caller
from router.api.auth.entra import Verified
from router.api.auth.hmac import AccessKeys
from router.models.operations import OPERATIONS
from router.models.rights import RIGHTS, Reach, Right, foremost, reach, reaches, rights_of_roles
from router.storage.port import Entity
from tests.memory_router import in_virtual_time
from tests.unit.api.api_caller import Answer
from tests.unit.api.api_caller import Caller as Calls
from tests.unit.auth.signed_wire import KEY, OTHER_KEY

READ_KEY = OTHER_KEY
ME, OTHER = "0f3f3a5e-58cf-4a2b-9a39-9b9c6a1c0001", "1f3f3a5e-58cf-4a2b-9a39-9b9c6a1c0002"
#: What a cell asks for: the ids of nothing that is there, so that only rights decide.
IDS = {"Job": "none", "Worker": "none"}
NAMES = [operation.name for operation in OPERATIONS]


class Tokens:
    """Stands in for the tenant: a token is its roles, and whom it speaks for behind `@`."""

    async def verify(self, token: str, now: datetime) -> Verified:
        roles, _, object_id = token.partition("@")
        return Verified(object_id or "nobody", object_id or None, tuple(role for role in roles.split(",") if role))


def calls(*, required: bool = False) -> Calls:
    made = Calls()
    tokens: Any = Tokens()
    made.gate.authenticator = Authenticator(AccessKeys([KEY], [READ_KEY]), tokens, roles_required=required)
    return made


def bearer(*roles: str, me: str = ME) -> dict[str, str]:
    return {"authorization": f"Bearer {','.join(roles)}@{me}"}


def role(right: Right, me: str = ME) -> dict[str, str]:
    return bearer(f"Router.{right}", me=me)


async def asked(call: Calls, name: str, headers: Mapping[str, str], *ids: str, **options: Any) -> Answer:
    operation = next(one for one in OPERATIONS if one.name == name)
    count = operation.route.count("{")
    body: Any = {} if operation.method == "PATCH" else None
    given = (*ids, *["none"] * (count - len(ids)))
    return await call(name, *given, headers=headers, **{"body": body, **options})


def is_refused(answer: Answer) -> bool:
    if answer.status != 403:
        return False
    error = answer.body["error"]
    assert (answer.code, error["code"], answer.body["communicationError"]) == ("Forbidden", "Forbidden", error)
    assert error["message"]
    return True


def test_every_operation_has_its_row() -> None:
    assert list(RIGHTS) == sorted(RIGHTS, key=NAMES.index)
    assert set(RIGHTS) == set(NAMES)
    for row in RIGHTS.values():
        assert row[Right.ADMIN] is Reach.ALL
        assert set(row) == set(Right)


def test_what_is_not_decided_is_for_administrators() -> None:
    assert {right for right, far in reaches("Unheard").items() if far is not Reach.NONE} == {Right.ADMIN}


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.method != "GET"], ids=lambda one: one.name)
def test_who_reads_changes_nothing(operation: Any) -> None:
    assert reach([Right.READ], operation.name) is Reach.NONE


def test_rights_add_up() -> None:
    assert reach([Right.AGENT], "GetJob") is Reach.OWN
    assert reach([Right.READ, Right.AGENT], "GetJob") is Reach.ALL
    assert reach([Right.READ, Right.AGENT], "AcceptJobOffer") is Reach.OWN
    assert reach([], "GetRights") is Reach.NONE
    assert foremost([Right.AGENT, Right.READ, Right.SUPERVISE]) is Right.SUPERVISE
    assert rights_of_roles(["Router.Read", "router.admin", "Admin", 7, "Router."]) == {Right.READ}


@pytest.mark.parametrize("right", Right)
@pytest.mark.parametrize("name", NAMES)
@in_virtual_time
async def test_every_cell(name: str, right: Right) -> None:
    call = calls(required=True)
    answer = await asked(call, name, role(right))
    if RIGHTS[name][right] is Reach.NONE:
        assert is_refused(answer)
        assert name in answer.body["error"]["message"]
        assert call.process.tables.calls == []
    elif RIGHTS[name][right] is Reach.ALL:
        assert answer.status not in (401, 403)


@pytest.mark.parametrize("name", NAMES)
@in_virtual_time
async def test_keys_and_tokens_without_a_role(name: str) -> None:
    call = calls()
    assert not is_refused(await asked(call, name, {}))
    assert is_refused(await asked(call, name, {}, key=READ_KEY)) is (RIGHTS[name][Right.READ] is Reach.NONE)
    for without in ((), ("Other.Role",), ("Read",)):
        assert not is_refused(await asked(call, name, bearer(*without)))
        assert is_refused(await asked(calls(required=True), name, bearer(*without)))


@in_virtual_time
async def test_a_caller_is_told_its_rights() -> None:
    call = calls()
    for headers, key, told in (
        ({}, KEY, ("Admin", ["Admin"], "key")),
        ({}, READ_KEY, ("Read", ["Read"], "key")),
        (bearer(), KEY, ("Admin", ["Admin"], "entra")),
        (role(Right.SUPERVISE), KEY, ("Supervise", ["Supervise"], "entra")),
        (bearer("Router.Agent", "Router.Read"), KEY, ("Read", ["Agent", "Read"], "entra")),
    ):
        body = (await call("GetRights", headers=headers, key=key)).body
        assert (body["right"], body["rights"], body["signIn"]) == told
        assert body["workerId"] is None


async def offered(call: Calls, worker: str, job: str, **fields: Any) -> str:
    """A job on offer to a worker of its own; the offer's id."""
    channels = [{"channelId": worker, "capacityCostPerJob": 1}]
    await call.worker(worker, channels=channels, **fields)
    await call.job(job, channelId=worker)
    await asyncio.sleep(0.1)
    (offer,) = (await call("GetWorker", worker)).body["offers"]
    return str(offer["offerId"])


@pytest.mark.parametrize("by", ["id", "tag", "TAG"])
@in_virtual_time
async def test_an_agent_works_as_its_own_worker_and_no_other(by: str) -> None:
    call = calls(required=True)
    await call.settings()
    mine, tags = (ME, {}) if by == "id" else ("w", {"entraObjectId": ME.upper() if by == "TAG" else ME})
    offers = {mine: await offered(call, mine, "j1", tags=tags), "v": await offered(call, "v", "j2")}
    me = role(Right.AGENT)
    jobs = {mine: "j1", "v": "j2"}
    for worker, offer in offers.items():
        foreign = worker != mine
        job = jobs[worker]
        assert is_refused(await call("GetWorker", worker, headers=me)) is foreign
        assert is_refused(await call("GetJob", job, headers=me)) is foreign
        accepted = await call("AcceptJobOffer", worker, offer, headers=me)
        assert (accepted.status, is_refused(accepted)) == ((403, True) if foreign else (200, False))
        if foreign:
            accepted = await call("AcceptJobOffer", worker, offer)
        assignment = accepted.body["assignmentId"]
        assert is_refused(await call("GetJob", job, headers=me)) is foreign
        for act in ("CompleteJob", "CloseJob"):
            assert is_refused(await call(act, job, assignment, headers=me)) is foreign
            assert (await call("GetJob", job)).body["status"] == (
                "assigned" if foreign else {"CompleteJob": "completed", "CloseJob": "closed"}[act]
            )


@in_virtual_time
async def test_an_agent_declines_its_own_offers() -> None:
    call = calls()
    await call.settings()
    offers = {ME: await offered(call, ME, "j1"), "v": await offered(call, "v", "j2")}
    assert is_refused(await call("DeclineJobOffer", "v", offers["v"], headers=role(Right.AGENT)))
    assert (await call("DeclineJobOffer", ME, offers[ME], headers=role(Right.AGENT))).status == 200
    await asyncio.sleep(0.1)
    assert (await call("GetWorker", ME)).body["offers"] == []
    assert len((await call("GetWorker", "v")).body["offers"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"capacity": 5},
        {"queues": []},
        {"labels": {"skill": 9}},
        {"tags": {"entraObjectId": OTHER}},
        {"channels": []},
        {"maxConcurrentOffers": 3},
        {"availableForOffers": False, "capacity": 9},
    ],
)
@in_virtual_time
async def test_of_its_own_worker_an_agent_changes_whether_it_takes_offers(change: dict[str, Any]) -> None:
    call = calls()
    await call.settings()
    await call.worker("w", tags={"entraObjectId": ME})
    before = (await call("GetWorker", "w")).body
    me = role(Right.AGENT)
    assert is_refused(await call("UpsertWorker", "w", body=change, headers=me))
    assert (await call("GetWorker", "w")).body == before
    away = await call("UpsertWorker", "w", body={**before, "availableForOffers": False}, headers=me)
    assert (away.status, away.body["state"]) == (200, "inactive")
    assert is_refused(await call("UpsertWorker", "w", body={}, headers=role(Right.AGENT, OTHER)))


@in_virtual_time
async def test_nobody_makes_a_worker_of_its_own() -> None:
    call = calls()
    for id in (ME, "w"):
        made = await call("UpsertWorker", id, body={"capacity": 1}, headers=role(Right.AGENT))
        assert is_refused(made)
        assert (await call("GetWorker", id)).status == 404


@pytest.mark.parametrize("tag", [7, True, "", ME + "0", "x" * 1000])
@in_virtual_time
async def test_a_tag_that_is_no_object_id_owns_nothing(tag: Any) -> None:
    call = calls()
    await call.settings()
    await call.worker("w", tags={"entraObjectId": tag})
    assert is_refused(await call("GetWorker", "w", headers=role(Right.AGENT)))
    for nobody in ("", str(tag)[:1]):
        assert is_refused(await call("GetWorker", "w", headers=role(Right.AGENT, nobody)))


@in_virtual_time
async def test_a_tag_that_changes_hands_over_what_comes() -> None:
    call = calls()
    await call.settings()
    offer = await offered(call, "w", "j", tags={"entraObjectId": ME})
    assignment = (await call("AcceptJobOffer", "w", offer, headers=role(Right.AGENT))).body["assignmentId"]
    await call("UpsertWorker", "w", body={"tags": {"entraObjectId": OTHER}})
    assert is_refused(await call("GetWorker", "w", headers=role(Right.AGENT)))
    assert (await call("GetWorker", "w", headers=role(Right.AGENT, OTHER))).status == 200
    assert is_refused(await call("CompleteJob", "j", assignment, headers=role(Right.AGENT, OTHER)))
    assert (await call("CompleteJob", "j", assignment, headers=role(Right.AGENT))).status == 200


async def costs(headers: Mapping[str, str]) -> list[tuple[str, int]]:
    """Calls of storage of each operation of an agent's day."""
    call = calls()
    found: list[tuple[str, int]] = []

    async def counted(name: str, *ids: str, **options: Any) -> Answer:
        await asyncio.sleep(5)
        before = len(call.process.tables.calls)
        answer = await call(name, *ids, headers=headers, **options)
        found.append((name, len(call.process.tables.calls) - before))
        assert answer.status == 200
        return answer

    await call.settings()
    offer = await offered(call, "w", "j", tags={"entraObjectId": ME})
    await counted("GetWorker", "w")
    await counted("GetJob", "j")
    assignment = (await counted("AcceptJobOffer", "w", offer)).body["assignmentId"]
    await counted("CompleteJob", "j", assignment)
    await counted("CloseJob", "j", assignment)
    await counted("UpsertWorker", "w", body={"availableForOffers": False})
    return found


@pytest.mark.parametrize("right", [Right.ADMIN, Right.AGENT])
def test_the_check_reads_nothing(right: Right) -> None:
    """Each operation costs what it costs with an access key."""
    found: list[list[tuple[str, int]]] = []

    @in_virtual_time
    async def day(headers: Mapping[str, str]) -> None:
        found.append(await costs(headers))

    day({})
    day(role(right))
    assert found[0] == found[1]


@in_virtual_time
async def test_a_refusal_rests_on_the_row_as_it_is() -> None:
    """Another process has given the worker to its agent since this one wrote it."""
    call = calls()
    await call.settings()
    offer = await offered(call, "w", "j")
    rows = call.process.tables.of("workers")
    entity = rows.get("w", "w")
    assert entity is not None
    document = json.loads(entity.columns["Doc0"])
    document["worker"]["tags"] = {"entraObjectId": ME}
    rows.upsert(Entity("w", "w", {**entity.columns, "Doc0": json.dumps(document)}))
    assert (await call("AcceptJobOffer", "w", offer, headers=role(Right.AGENT))).status == 200


def test_ids_of_callers_tell_keys_apart() -> None:
    assert [Caller("key", index).id for index in (0, 2)] == ["key:0", "key:2"]
    assert Caller("entra", subject="s").id == "entra:s"


def test_the_registration_has_the_roles_of_the_code() -> None:
    """infra/app-roles.json is what a tenant is given (docs/deployment.md)."""
    roles = json.loads((Path(__file__).parents[3] / "infra" / "app-roles.json").read_text("utf-8"))
    assert [rights_of_roles([role["value"]]) for role in roles] == [{right} for right in Right]
    assert len({role["id"] for role in roles}) == len(roles)
