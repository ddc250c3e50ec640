"""What is told: the plan, the outcome and the verdict, in lines that a person reads. Never a key, never a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from router.migrate.check import Verdict
from router.migrate.kinds import JOB
from router.migrate.move import Outcome
from router.migrate.plan import ORDER, Action, Plan

_NAMED = 10


def plan_lines(plan: Plan) -> Iterator[str]:
    yield f"{'':<24} {'create':>8} {'update':>8} {'same':>8} {'left':>8}"
    for kind in ORDER:
        counts = (
            plan.count(kind, Action.CREATE),
            plan.count(kind, Action.UPDATE),
            plan.count(kind, Action.SAME),
            plan.count(kind, Action.LEAVE),
        )
        yield f"{kind.plural:<24} " + " ".join(f"{count:>8}" for count in counts)
    queued = sum(1 for step in plan.steps[JOB] if step.lane is not None and _is_open(step.action))
    yield f"{'jobs to queue in order':<24} {queued:>8}"
    yield f"{'workers available':<24} {len(plan.available):>8}   (made available only with --activate)"


def left_lines(plan: Plan) -> Iterator[str]:
    """What does not go over, or not as it is."""
    for reason, ids in sorted(plan.notes.items()):
        yield f"- {len(ids)} x {reason}: {_some(ids)}"
    if plan.missing_secrets:
        yield f"- {len(plan.missing_secrets)} secrets of rules cannot be read from the source. Supply them with"
        yield '  --secrets FILE ({"place": "secret"}; an empty one: there is none), or set them later by a PATCH:'
        yield from (f"    {place}" for place in sorted(plan.missing_secrets))
    if plan.unknown_secrets:
        yield f"- warning: {len(plan.unknown_secrets)} places of the secrets file are in no policy of the source:"
        yield from (f"    {place}" for place in plan.unknown_secrets)


def outcome_lines(outcome: Outcome, requests: int) -> Iterator[str]:
    written = ", ".join(f"{outcome.written[kind]} {kind.plural}" for kind in ORDER if outcome.written[kind])
    yield f"Written: {written or 'nothing'}. Queued: {outcome.queued}. Made available: {outcome.activated} workers."
    yield f"{requests} requests to the target."
    if outcome.refused:
        yield f"{len(outcome.refused)} refused:"
        yield from (f"- {name}: {reason}" for name, reason in list(outcome.refused.items())[:100])


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    yield f"{'':<24} {'equal':>8} {'differ':>8} {'missing':>8} {'only there':>11}"
    for kind in ORDER:
        yield (
            f"{kind.plural:<24} {verdict.equal[kind]:>8} {len(verdict.differing[kind]):>8} "
            f"{len(verdict.missing[kind]):>8} {verdict.extra[kind]:>11}"
        )
    if verdict.not_waiting or verdict.gone_on:
        yield f"jobs of the source that do not wait: {verdict.not_waiting}; moved and gone on since: {verdict.gone_on}"
    for kind in ORDER:
        for id, paths in list(verdict.differing[kind].items())[:_NAMED]:
            yield f"- {kind.name} {id} differs at {', '.join(paths)}"
        if verdict.missing[kind]:
            yield f"- missing {kind.plural}: {_some(verdict.missing[kind])}"
    if verdict.lost_secrets:
        yield f"- {len(verdict.lost_secrets)} secrets of rules that the source has are not on the target:"
        yield from (f"    {place}" for place in verdict.lost_secrets)
    if verdict.disordered:
        yield f"- jobs stand in another order in: {_some(verdict.disordered)}"
    yield "Both sides are equal." if verdict.holds else "The two sides are not equal."


def _is_open(action: Action) -> bool:
    return action in (Action.CREATE, Action.QUEUE)


def _some(ids: Iterable[str]) -> str:
    named = list(ids)
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more
