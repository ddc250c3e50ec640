"""Policies of one tenant: expressions that cost, policies that take long to compile, rules that fail for ever."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.eventually import eventually_async
from tests.hostile.ground import Ground, Tally
from tests.raw_wire import RawWire

LARGE = {"b": "Éx" * 8_000, "c": "中" * 16_000}
EXPRESSIONS = (
    "CountIf(Sequence(40000), Value > {n}) = 1",
    'CountIf(Sequence(1800), Lower(job.b) = "x") = {n}',
    'CountIf(Sequence(1900), Proper(job.b) = "x") = {n}',
    'CountIf(Sequence(1900), Upper(job.b) = "x") = {n}',
    "CountIf(Sequence(1900), Trim(job.b) = EncodeUrl(job.c)) = {n}",
    "CountIf(Sequence(40000), job.c in job.b) = {n}",
    "CountIf(Sequence(40000), IsBlank(DateValue(job.c))) = {n}",
    "CountIf(Sequence(40000), IsBlank(Value(job.c))) = {n}",
    "CountRows(Sort(ForAll(Sequence(3000), job.b & Text(Value)), Value)) = {n}",
    'CountIf(Sequence(3000), IsMatch(job.b, "(a|b|c)+{n}"))',
    'CountIf(Sequence(3000), Len(Substitute(job.b, "x", "{n}")) > 3)',
    "CountIf(Sequence(3000), Len(JSON(ForAll(Sequence(200), Value + {n}))) > 3)",
)


def condition(expression: str) -> dict[str, Any]:
    selector = {"key": "a", "labelOperator": "equal", "value": 1}
    return {
        "kind": "conditional",
        "condition": {"kind": "expression", "expression": expression},
        "workerSelectors": [selector],
    }


async def attack(ground: Ground, tally: Tally) -> None:
    wire, chance = ground.wire, ground.chance
    queue = await wire.queue()
    while ground.goes_on():
        expression = chance.choice(EXPRESSIONS)
        first, count = chance.randrange(10**6), chance.choice((1, 3, 100))
        attachments = [condition(expression.format(n=first + number)) for number in range(count)]
        policy = await wire.make(
            "ClassificationPolicy", {"fallbackQueueId": queue, "workerSelectorAttachments": attachments}
        )
        body = {"channelId": "voice", "classificationPolicyId": policy.rpartition("/")[2], "labels": LARGE}
        job = await wire.make("Job", body)

        async def classified(job: str = job) -> bool:
            return (await wire.get(job)).expect(200)["status"] in ("queued", "classificationFailed")

        try:
            await eventually_async(classified, "the job is classified")
            tally.tried(True, expression)
        except AssertionError as error:
            tally.tried(False, f"{count} of {expression}: {error}")
        tally.tried((await wire.post(f"{job}:cancel", {})).status == 200, f"{expression}: not cancelled")


async def compiling(ground: Ground, tally: Tally) -> None:
    wire, chance = ground.wire, ground.chance
    while ground.goes_on():
        first, count = chance.randrange(10**6), chance.choice((1, 8, 100))
        terms = ["+".join(f"(1+{first + 1000 * place + n})" for n in range(560)) for place in range(count)]
        if chance.random() < 0.3:
            terms = [f"{text}+" for text in terms]
        attachments = [condition(f"{text} > 3") for text in terms]
        answer = await wire.patch(
            f"/routing/classificationPolicies/{wire.id('policy')}", {"workerSelectorAttachments": attachments}
        )
        tally.tried(answer.status in (201, 400, 413), f"{count} long expressions: {answer.status}")


async def bodies(ground: Ground, tally: Tally) -> None:
    chance = ground.chance
    many = chance.randrange(40_000, 60_000)
    shapes: list[dict[str, Any]] = [
        {"labels": {f"k{n}": "x" * 10_000 for n in range(100)}},
        {"labels": {f"k{n}": [] for n in range(many)}},
        {"labels": {f"k{n}": [] for n in range(6_000)}},
        {"labels": {f"k{n}": None for n in range(12_000)}},
        {"x": [{"a": n} for n in range(12_000)]},
        {"notes": [{"message": n} for n in range(12_000)]},
        {"requestedWorkerSelectors": [{"key": "a", "value": [], "labelOperator": "x"} for _ in range(4_000)]},
        {f"k{n}": 1 for n in range(12_000)},
    ]
    async with RawWire(ground.wire.port, ground.wire.key) as wire:
        while ground.goes_on():
            body = json.dumps({"channelId": "voice", "queueId": "none", **chance.choice(shapes)}).encode()
            paths = [f"/routing/jobs/{wire.id('job')}" for _ in range(chance.choice((1, 8, 24)))]
            for answer in await asyncio.gather(*(wire.patch(path, body) for path in paths)):
                tally.tried(answer.status in (400, 413, 503), f"a body of {len(body)} bytes: {answer.status}")
