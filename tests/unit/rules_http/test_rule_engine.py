"""What each kind of rule is given and yields, and how workers are given to a scoring rule
(docs/behaviour.md, "Rules" and "Scores")."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast

import pytest
from pydantic import TypeAdapter

from router.models.rules import FunctionRouterRuleCredential, RouterRule, ScoringRuleOptions
from router.models.selectors import LabelOperator, RouterWorkerSelector
from router.rules.engine import RuleEngine
from router.rules.failure import RuleFailure
from router.rules.http.client import RuleHttpClient
from router.rules.secrets import SecretBox, seal_secrets

BOX = SecretBox(base64.b64encode(b"k" * 32).decode())
CONTEXT = "DistributionPolicy/d"
LABELS = {"Region": "EU", "Size": 5}
SELECTOR = RouterWorkerSelector(key="Skill", label_operator=LabelOperator.GREATER_THAN, value=3)
WORKERS = [{"Id": f"w{number}", "Skill": number} for number in range(5)]


class Http:
    """Remembers what is posted where, and answers the scores of the workers in it."""

    def __init__(self, answer: Any = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._answer = answer

    async def post_function(
        self, uri: str, credential: FunctionRouterRuleCredential | None, payload: Mapping[str, Any]
    ) -> Any:
        self.calls.append((uri, credential, payload))
        return self._answer

    async def post_webhook(
        self, uri: str, server: str | None, who: str | None, secret: str | None, payload: Mapping[str, Any]
    ) -> Any:
        self.calls.append((uri, server, who, secret, payload))
        return self._answer


def rule(**fields: Any) -> Any:
    return TypeAdapter(RouterRule).validate_python(fields)


def engine(http: Http | None = None, box: SecretBox | None = BOX) -> RuleEngine:
    return RuleEngine(cast("RuleHttpClient", http or Http()), box)


def sealed(**fields: Any) -> Any:
    return rule(**seal_secrets(fields, BOX, CONTEXT))


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"kind": "static", "value": 7}, 7),
        ({"kind": "static", "value": {"a": None}}, {"a": None}),
        ({"kind": "static"}, None),
        ({"kind": "directMap"}, LABELS),
        ({"kind": "expression", "expression": 'If(job.Region = "EU", job.Size * 2, 1)'}, 10),
    ],
)
async def test_what_a_rule_yields_for_a_job(fields: dict[str, Any], value: Any) -> None:
    assert await engine().value(rule(**fields), LABELS, CONTEXT) == value


async def test_an_expression_that_fails_is_a_failure_of_the_rule() -> None:
    with pytest.raises(RuleFailure) as raised:
        await engine().value(rule(kind="expression", expression="1 / (job.Size - 5)"), LABELS, CONTEXT)
    assert raised.value.code == "ExpressionFailed"


async def test_a_function_is_called_with_the_labels_and_its_key_in_the_clear() -> None:
    http = Http(answer=[1])
    given = sealed(kind="function", functionUri="https://f/api", credential={"functionKey": "key", "clientId": "c"})
    assert "key" not in given.credential.function_key
    assert await engine(http).value(given, LABELS, CONTEXT) == [1]
    credential = FunctionRouterRuleCredential(function_key="key", client_id="c")
    assert http.calls == [("https://f/api", credential, {"job": LABELS})]


async def test_a_function_without_credential() -> None:
    http = Http(answer=1)
    await engine(http, box=None).value(rule(kind="function", functionUri="https://f/api"), LABELS, CONTEXT)
    assert http.calls == [("https://f/api", None, {"job": LABELS})]


async def test_a_webhook_is_called_with_its_client_and_secret_in_the_clear() -> None:
    http = Http(answer=2)
    client = {"clientId": "who", "clientSecret": "secret"}
    given = sealed(
        kind="webhook", webhookUri="https://w/", authorizationServerUri="https://a/", clientCredential=client
    )
    assert await engine(http).value(given, LABELS, CONTEXT) == 2
    assert http.calls == [("https://w/", "https://a/", "who", "secret", {"job": LABELS})]


async def test_a_webhook_without_authorization_server() -> None:
    http = Http(answer=2)
    await engine(http).value(rule(kind="webhook", webhookUri="https://w/"), LABELS, CONTEXT)
    assert http.calls == [("https://w/", None, None, None, {"job": LABELS})]


async def test_a_webhook_without_address_is_never_called() -> None:
    http = Http()
    with pytest.raises(RuleFailure) as raised:
        await engine(http).value(rule(kind="webhook"), LABELS, CONTEXT)
    assert (raised.value.code, http.calls) == ("WebhookMissing", [])


@pytest.mark.parametrize(("box", "context"), [(None, CONTEXT), (BOX, "DistributionPolicy/other")])
async def test_a_secret_that_cannot_be_opened_is_a_failure_and_nothing_is_called(
    box: SecretBox | None, context: str
) -> None:
    http = Http()
    given = sealed(kind="function", functionUri="https://f/api", credential={"appKey": "key"})
    with pytest.raises(RuleFailure) as raised:
        await engine(http, box).value(given, LABELS, context)
    assert (raised.value.code, http.calls) == ("RuleSecretUnavailable", [])


async def _scores(given: Any, http: Http | None = None, **options: Any) -> list[float]:
    return await engine(http).scores(given, LABELS, [SELECTOR], WORKERS, ScoringRuleOptions(**options), CONTEXT)


async def test_workers_are_scored_one_by_one() -> None:
    http = Http(answer=1.5)
    assert await _scores(rule(kind="function", functionUri="https://f/"), http) == [1.5] * 5
    payloads = [payload for _, _, payload in http.calls]
    assert [payload["worker"] for payload in payloads] == WORKERS
    assert all(payload["job"] == LABELS for payload in payloads)
    assert all(payload["selectors"][0]["labelOperator"] == "greaterThan" for payload in payloads)


async def test_scores_of_an_expression_keep_the_order_of_the_workers() -> None:
    assert await _scores(rule(kind="expression", expression="job.Size - worker.Skill")) == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(("size", "batches"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (20, [5])])
async def test_batches_have_at_most_the_size_that_the_policy_says(size: int, batches: list[int]) -> None:
    class Batches(Http):
        async def post_function(self, uri: str, credential: Any, payload: Mapping[str, Any]) -> Any:
            self.calls.append((uri, credential, payload))
            return [worker["Skill"] for worker in payload["workers"]]

    http = Batches()
    given = rule(kind="function", functionUri="https://f/")
    assert await _scores(given, http, is_batch_scoring_enabled=True, batch_size=size) == [0, 1, 2, 3, 4]
    assert [len(payload["workers"]) for _, _, payload in http.calls] == batches
    assert all("worker" not in payload for _, _, payload in http.calls)


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ([], {"worker"}),
        (["jobLabels"], {"worker", "job"}),
        (["workerSelectors"], {"worker", "selectors"}),
        (["jobLabels", "workerSelectors"], {"worker", "job", "selectors"}),
    ],
)
async def test_the_policy_decides_what_a_scoring_rule_is_given(parameters: list[str], names: set[str]) -> None:
    http = Http(answer=1)
    await _scores(rule(kind="function", functionUri="https://f/"), http, scoring_parameters=parameters)
    assert all(set(payload) == names for _, _, payload in http.calls)


@pytest.mark.parametrize("answer", [None, "one", True, [1], {"score": 1}])
async def test_a_score_that_is_no_number_is_a_failure(answer: Any) -> None:
    with pytest.raises(RuleFailure) as raised:
        await _scores(rule(kind="function", functionUri="https://f/"), Http(answer))
    assert raised.value.code == "InvalidRuleResult"


@pytest.mark.parametrize("answer", [1, [1, 2], [1] * 6, [1, 2, 3, 4, "five"], {"other": 1}])
async def test_a_batch_needs_one_score_for_each_worker(answer: Any) -> None:
    with pytest.raises(RuleFailure) as raised:
        await _scores(rule(kind="function", functionUri="https://f/"), Http(answer), is_batch_scoring_enabled=True)
    assert raised.value.code == "InvalidRuleResult"
