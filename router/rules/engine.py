"""The rule engines behind one door: static, directMap, expression, function, webhook (docs/behaviour.md, "Rules")."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from router.models.rules import (
    DEFAULT_BATCH_SIZE,
    DirectMapRouterRule,
    ExpressionRouterRule,
    FunctionRouterRule,
    RouterRule,
    ScoringRuleOptions,
    StaticRouterRule,
    WebhookRouterRule,
)
from router.models.selectors import LabelOperator, RouterWorkerSelector
from router.rules import expressions, results
from router.rules.failure import RuleFailure
from router.rules.http.client import RuleHttpClient
from router.rules.powerfx import PowerFxError
from router.rules.purse import one_purse
from router.rules.secrets import SecretBox, open_secrets

#: Scoring many workers gives others their turn this often.
_YIELDS_SECONDS: Final = 0.005
#: As Microsoft's how-to of custom scoring writes the operators.
_HOW_TO_OPERATORS: Final = {
    LabelOperator.EQUAL: "Equal",
    LabelOperator.NOT_EQUAL: "NotEqual",
    LabelOperator.LESS_THAN: "LessThan",
    LabelOperator.LESS_THAN_OR_EQUAL: "LessThanEqual",
    LabelOperator.GREATER_THAN: "GreaterThan",
    LabelOperator.GREATER_THAN_OR_EQUAL: "GreaterThanEqual",
}
_Sealed = TypeVar("_Sealed", FunctionRouterRule, WebhookRouterRule)


def _told(selector: RouterWorkerSelector) -> dict[str, Any]:
    """A selector as scoring rules are given it: as an answer has it, and by the names of the how-to of scoring."""
    return {
        **selector.model_dump(mode="json", by_alias=True, exclude_none=True),
        "operator": _HOW_TO_OPERATORS[selector.label_operator],
        "expiresAfterSeconds": selector.expires_after_seconds,
    }


class RuleEngine:
    """Evaluates rules. Every failure is a RuleFailure that says why, without secrets."""

    def __init__(self, http: RuleHttpClient, secrets: SecretBox | None) -> None:
        self._http = http
        self._secrets = secrets

    async def value(self, rule: RouterRule, labels: Mapping[str, Any], context: str) -> Any:
        """What the rule yields for a job's labels. `context` names the policy that holds the rule."""
        return await self._evaluate(rule, {"job": dict(labels)}, dict(labels), context)

    async def scores(
        self,
        rule: RouterRule,
        job_labels: Mapping[str, Any],
        selectors: Sequence[RouterWorkerSelector],
        workers: Sequence[Mapping[str, Any]],
        options: ScoringRuleOptions,
        context: str,
    ) -> list[float]:
        """One score a worker, in the same order; in batches where the policy says so."""
        given: dict[str, Any] = {}
        if "jobLabels" in options.scoring_parameters:
            given["job"] = dict(job_labels)
        if "workerSelectors" in options.scoring_parameters:
            given["selectors"] = [_told(one) for one in selectors]
        with one_purse():
            return await self._scores(rule, given, workers, options, context)

    async def _scores(
        self,
        rule: RouterRule,
        given: Mapping[str, Any],
        workers: Sequence[Mapping[str, Any]],
        options: ScoringRuleOptions,
        context: str,
    ) -> list[float]:
        found: list[float] = []
        yielded = time.perf_counter()
        if not options.is_batch_scoring_enabled:
            for worker in workers:
                payload = {**given, "worker": dict(worker)}
                value = await self._evaluate(rule, payload, payload, context)
                found += (
                    results.as_scores(value, [dict(worker)])
                    if isinstance(value, Mapping)
                    else [results.as_score(value)]
                )
                if (now := time.perf_counter()) - yielded > _YIELDS_SECONDS:
                    await asyncio.sleep(0)
                    yielded = now
            return found
        size = options.batch_size or DEFAULT_BATCH_SIZE
        for start in range(0, len(workers), size):
            batch = [dict(worker) for worker in workers[start : start + size]]
            payload = {**given, "workers": batch}
            found += results.as_scores(await self._evaluate(rule, payload, payload, context), batch)
        return found

    async def _evaluate(self, rule: RouterRule, payload: dict[str, Any], mapped: dict[str, Any], context: str) -> Any:
        match rule:
            case StaticRouterRule():
                return rule.value
            case DirectMapRouterRule():
                return mapped
            case ExpressionRouterRule():
                try:
                    return await expressions.value_of(rule.expression, payload)
                except PowerFxError as error:
                    raise RuleFailure("ExpressionFailed", f"The expression failed: {error}") from error
            case FunctionRouterRule():
                function = self._opened(rule, context)
                return await self._http.post_function(function.function_uri, function.credential, payload)
            case WebhookRouterRule():
                webhook = self._opened(rule, context)
                credential = webhook.client_credential
                if webhook.webhook_uri is None:
                    raise RuleFailure("WebhookMissing", "The webhook rule has no webhookUri.")
                return await self._http.post_webhook(
                    webhook.webhook_uri,
                    webhook.authorization_server_uri,
                    credential.client_id if credential else None,
                    credential.client_secret if credential else None,
                    payload,
                )

    def _opened(self, rule: _Sealed, context: str) -> _Sealed:
        """The rule with its secrets, to call with."""
        document = rule.model_dump(mode="json", by_alias=True, exclude_none=True)
        return type(rule).model_validate(open_secrets(document, self._secrets, context))
