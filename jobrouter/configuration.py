"""`export`, `plan` and `apply`: the whole configuration as files."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from jobrouter import files, output
from jobrouter import plan as plans
from jobrouter.change import confirm, each
from jobrouter.connect import connect
from jobrouter.failure import DONE, NOT_SO, CommandError, NotSo
from jobrouter.files import CONFIGURATION, Configuration
from jobrouter.plan import Action, Effect, Plan, Step
from jobrouter.spelling import spelled
from router.migrate.client import Client
from router.migrate.failure import Refused
from router.migrate.kinds import DISTRIBUTION, JOB, QUEUE, WORKER, Document, Kind
from router.migrate.secrets import Secrets

_SHOWN: Final = 200
#: Of waiting jobs: more would take minutes to read, and the rest is much like them.
_LOOKED_AT: Final = 10_000
_SIGNS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-"}


async def export(options: argparse.Namespace) -> int:
    """Policies and queues, and workers if they are wanted."""
    wanted = [kind for kind in CONFIGURATION if kind is not WORKER or options.workers]
    async with connect(options.trust) as client:
        there = await _read(client, wanted)
    configuration = {
        kind: {id: files.shown(kind, one) for id, one in resources.items()} for kind, resources in there.items()
    }
    files.write(options.path, configuration)
    counts = {files.name_of(kind): len(resources) for kind, resources in configuration.items()}
    if options.json:
        output.say_json({"path": str(options.path), "resources": counts})
    else:
        output.say("\n".join(f"{options.path / name}: {count}" for name, count in counts.items()))
    return DONE


async def plan(options: argparse.Namespace) -> int:
    """Tells what `apply` would do. With `--out` it is kept, so that `apply` does this or nothing."""
    async with connect(options.trust) as client:
        made, waiting, found = await _plan(client, options)
        if options.out:
            _keep(options.out, client, made)
    _tell_plan(made, waiting, found, as_json=options.json)
    return NOT_SO if options.check and made.steps else DONE


async def apply(options: argparse.Namespace) -> int:
    """Shows the plan, asks, and does it. What has changed since is not written over."""
    async with connect(options.trust) as client:
        made, waiting, found = await _plan(client, options)
        if options.plan:
            _hold_against(options.plan, client, made)
        if not options.json:
            _tell_plan(made, waiting, found, as_json=False)
        if made.missing_secrets:
            raise CommandError("Secrets are missing: --secrets FILE supplies them.")
        if made.steps:
            confirm(f"Change this at {client.endpoint.url}?", options.yes)
        await _carry_out(client, made.steps)
    counts = Counter(step.action for step in made.steps)
    if options.json:
        output.say_json({"changed": {action.value: counts[action] for action in Action}, "same": made.same})
    elif made.steps:
        output.say(f"{_counted(counts)}.")
    return DONE


async def _plan(client: Client, options: argparse.Namespace) -> tuple[Plan, int, Effect]:
    """The plan, how many jobs wait in queues that it touches, and what it means for them."""
    wanted = spelled(files.read(options.path))
    secrets = Secrets.read(options.secrets) if options.secrets else Secrets()
    there = await _read(client, [kind for kind in CONFIGURATION if kind in wanted or kind is QUEUE])
    for kind in CONFIGURATION:
        there.setdefault(kind, {})
    made = plans.make(wanted, there, secrets, prune=options.prune)

    async def waiting(id: str) -> int:
        return int((await client.get(QUEUE, id, "/statistics")).get("length") or 0)

    count = sum(await each(made.touched_queues, waiting))
    return made, count, await _effect(client, made, wanted, there, options.prune) if count else Effect()


async def _effect(client: Client, made: Plan, wanted: Configuration, there: Configuration, prune: bool) -> Effect:
    """Workers and policies may be in no file and tell all the same who takes a job."""
    from jobrouter.effect import after, effect  # the engine takes a while to load: no other command needs it

    there |= await _read(client, [kind for kind in (DISTRIBUTION, WORKER) if kind not in wanted])
    jobs: dict[str, Document] = {}
    for id in made.touched_queues:
        async for job in client.list(replace(JOB, lists=({"status": "queued", "queueId": id},))):
            if len(jobs) >= _LOOKED_AT:
                break
            jobs[str(job["id"])] = job
    return effect(jobs.values(), there, after(wanted, there, prune=prune))


async def _read(client: Client, wanted: Iterable[Kind]) -> Configuration:
    async def one(kind: Kind) -> tuple[Kind, dict[str, Document]]:
        return kind, {str(item["id"]): item async for item in client.list(kind)}

    return dict(await asyncio.gather(*(one(kind) for kind in wanted)))


async def _carry_out(client: Client, steps: Sequence[Step]) -> None:
    """Kind after kind, as the plan orders them; within a kind several at a time."""

    async def one(step: Step) -> None:
        if step.action is Action.DELETE:
            await client.delete(step.kind, step.id, etag=step.etag)
        else:
            await client.upsert(step.kind, step.id, step.body, new=step.action is Action.CREATE, etag=step.etag)

    failed: list[str] = []
    done = 0
    for group in _groups(steps):

        async def attempt(step: Step) -> bool:
            try:
                await one(step)
            except Refused as refusal:
                what = f"{step.kind.name} {output.clean(step.id)}"
                if refusal.status == 412:
                    failed.append(f"{what} has changed since the plan was made; it is left as it is.")
                else:
                    failed.append(f"{what}: {refusal}")
                return False
            return True

        done += sum(await each(group, attempt))
        if failed:
            break  # what comes after may name what was not written
    if failed:
        raise NotSo("\n".join([*failed, f"{done} of {len(steps)} changes were made. Make the plan anew."]))


def _groups(steps: Sequence[Step]) -> list[list[Step]]:
    groups: list[list[Step]] = []
    for step in steps:
        if not groups or (groups[-1][0].kind, groups[-1][0].action is Action.DELETE) != (
            step.kind,
            step.action is Action.DELETE,
        ):
            groups.append([])
        groups[-1].append(step)
    return groups


def _keep(path: Path, client: Client, made: Plan) -> None:
    content = {"router": client.endpoint.url, "fingerprint": made.fingerprint}
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None


def _hold_against(path: Path, client: Client, made: Plan) -> None:
    """Raises NotSo where the files, the options or the router are no longer as they were."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        router, fingerprint = str(kept["router"]), str(kept["fingerprint"])
    except (OSError, ValueError, TypeError, KeyError):
        raise CommandError(f"{path} is not a plan that `plan --out` has written.") from None
    if router != client.endpoint.url:
        raise NotSo(f"The plan was made for {router}, not for {client.endpoint.url}. Nothing was done.")
    if fingerprint != made.fingerprint:
        raise NotSo("The plan is out of date: files or router have changed since. Nothing was done; make it anew.")


def _tell_plan(made: Plan, waiting: int, found: Effect, *, as_json: bool) -> None:
    if as_json:
        output.say_json(
            {
                "steps": [
                    {"action": s.action, "kind": s.kind.name, "id": s.id, "differs": list(s.differs)}
                    for s in made.steps
                ],
                "same": made.same,
                "notInFiles": made.extra,
                "missingSecrets": made.missing_secrets,
                "touchedQueues": made.touched_queues,
                "waitingJobsTouched": waiting,
                "waitingJobsLookedAt": found.looked_at,
                "waitingJobsMatchedDifferently": found.differently,
                "waitingJobsWithFirstWorker": found.first,
                "waitingJobsWithoutWorker": found.last,
            }
        )
        return
    for step in made.steps[:_SHOWN]:
        differ = f"  ({', '.join(map(output.clean, step.differs))})" if step.differs else ""
        output.say(f"{_SIGNS[step.action]} {step.kind.name} {output.clean(step.id)}{differ}")
    if len(made.steps) > _SHOWN:
        output.say(f"... and {len(made.steps) - _SHOWN} more (--json has all)")
    counts = Counter(step.action for step in made.steps)
    told = _counted(counts, "to ") + "; " if made.steps else ""
    output.say(f"{told}{made.same} as in the files.")
    if made.touched_queues:
        queues = output.some(len(made.touched_queues), "queue")
        output.say(f"{output.some(waiting, 'job')} waiting in {queues} that this touches.")
        if waiting:
            output.say("\n".join(_differently(waiting, found)))
    if made.extra:
        output.say(
            f"{output.some(len(made.extra), 'resource')} of the router in no file, left alone; --prune deletes such."
        )
    for place in made.missing_secrets:
        output.say(f"! a secret is missing: {output.clean(place)}")


def _differently(waiting: int, found: Effect) -> list[str]:
    of = f"the {found.looked_at} that were looked at" if found.looked_at < waiting else "them"
    if not found.differently:
        return [f"None of {of} would match differently: the same workers qualify, and they are asked in the same way."]
    lines = [
        f"{found.differently} of {of} would match differently: other workers qualify, or the mode asks them otherwise."
    ]
    if found.first:
        lines.append(f"  {found.first} for which nobody qualifies now would have a worker.")
    if found.last:
        lines.append(f"! {found.last} would have no worker who qualifies.")
    return lines


def _counted(counts: Counter[Action], to: str = "") -> str:
    """`2 created, 1 changed`, or what is to be."""
    words = {
        Action.CREATE: ("create", "created"),
        Action.UPDATE: ("change", "changed"),
        Action.DELETE: ("delete", "deleted"),
    }
    return ", ".join(
        f"{counts[action]} {to}{word if to else done}" for action, (word, done) in words.items() if counts[action]
    )
