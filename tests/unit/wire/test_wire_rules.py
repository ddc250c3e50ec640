"""What is refused of a policy's rules when it is saved, beside everything else that is wrong with the policy."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from router.errors import ErrorDetail, RouterError
from router.rules.check import rule_problems
from router.rules.failure import RuleCallError
from router.rules.http.client import RuleHttpClient
from router.wire.apply import classification_policy_document, distribution_policy_document

BAD_EXPRESSION = {"kind": "expression", "expression": "1 +"}
SECRET = "https://f.example/api?code=s3cret"


def function(uri: Any) -> dict[str, Any]:
    return {"kind": "function", "functionUri": uri}


def named(patch: dict[str, Any], build: Any = classification_policy_document, **options: Any) -> dict[str, ErrorDetail]:
    """What is refused, by its place."""
    with pytest.raises(RouterError) as caught:
        build(None, patch, **options)
    assert (caught.value.status, caught.value.code) == (400, "BadRequest")
    found = {str(detail.target): detail for detail in caught.value.details}
    assert len(found) == len(caught.value.details)
    return found


def test_expressions_uris_and_fields_are_named_together() -> None:
    patch = {
        "name": 1,
        "prioritizationRule": BAD_EXPRESSION,
        "queueSelectorAttachments": [
            {"kind": "conditional", "condition": function("ftp://x"), "queueSelectors": [{}]},
            {
                "kind": "ruleEngine",
                "rule": {"kind": "webhook", "webhookUri": "x y", "authorizationServerUri": "http://a"},
            },
        ],
    }
    at = "queueSelectorAttachments"
    found = named(patch)
    assert set(found) == {
        "name", "prioritizationRule.expression", f"{at}[0].condition.functionUri", f"{at}[0].queueSelectors[0].key",
        f"{at}[0].queueSelectors[0].labelOperator", f"{at}[1].rule.webhookUri", f"{at}[1].rule.authorizationServerUri",
    }  # fmt: skip
    assert found["prioritizationRule.expression"].code == "InvalidExpression"
    scoring = {"mode": {"kind": "bestWorker", "minConcurrentOffers": 0, "scoringRule": BAD_EXPRESSION}}
    assert set(named(scoring, distribution_policy_document)) == {
        "mode.minConcurrentOffers",
        "mode.scoringRule.expression",
    }


def test_what_validation_says_is_not_said_twice() -> None:
    for rule in (function("x" * 20_000), function(5), {"kind": "expression", "expression": "(" * 20_000}):
        assert len(named({"prioritizationRule": rule})) == 1


def test_rules_beyond_what_a_policy_may_have_are_not_looked_at() -> None:
    attachment = {"kind": "ruleEngine", "rule": BAD_EXPRESSION}
    assert len(rule_problems({"queueSelectorAttachments": [attachment] * 5000})) == 201


def test_what_a_static_rule_holds_is_data() -> None:
    rule = {"kind": "static", "value": [BAD_EXPRESSION, function("ftp://x")]}
    assert rule_problems({"prioritizationRule": rule}) == []


ACCEPTED = [
    "https://f", "HTTPS://F.example:8443/a/b?code=x&y=1#z", "https://[2001:db8::1]/", "https://10.0.0.1/", "https://ümlaut.example/ü",
    "https://169.254.169.254/metadata",  # which addresses may be called is decided at the call
]  # fmt: skip
REFUSED = [
    "", "x", "not a uri", "ftp://x", "file:///etc/passwd", "//f.example/x", "/x", "https:", "https://", "https:///x", "https://f:99999/",
    "https://f:0/", "https://[::1", "https://me:pw@f/", "https://f .example/", "https://f/\n", "https://f/\0", "javascript:alert(1)",
    "http://f.example/", "http://169.254.169.254/x", "http://10.0.0.1/", "https://f/" + "x" * 2048,
]  # fmt: skip
LOOPBACK = ["http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]:80/x"]


@pytest.mark.parametrize("uri", ACCEPTED)
@pytest.mark.parametrize("http_on_loopback", [False, True])
def test_uris_that_are_accepted(uri: str, http_on_loopback: bool) -> None:
    assert rule_problems({"rule": function(uri)}, http_on_loopback=http_on_loopback) == []


@pytest.mark.parametrize("uri", REFUSED)
@pytest.mark.parametrize("http_on_loopback", [False, True])
def test_uris_that_are_refused(uri: str, http_on_loopback: bool) -> None:
    for name, rule in (
        ("functionUri", function(uri)),
        ("webhookUri", {"kind": "webhook", "webhookUri": uri}),
        ("authorizationServerUri", {"kind": "webhook", "webhookUri": "https://w", "authorizationServerUri": uri}),
    ):
        [problem] = rule_problems({"rule": rule}, http_on_loopback=http_on_loopback)
        assert problem.target == f"rule.{name}"
        assert f"'rule.{name}' must be an absolute https URI" in problem.message


@pytest.mark.parametrize("uri", LOOPBACK)
def test_http_on_loopback_by_setting(uri: str) -> None:
    assert rule_problems({"rule": function(uri)}, http_on_loopback=True) == []
    [problem] = rule_problems({"rule": function(uri)})
    assert "its scheme is 'http'" in problem.message
    document = classification_policy_document(None, {"prioritizationRule": function(uri)}, http_on_loopback=True)
    assert document["prioritizationRule"]["functionUri"] == uri
    assert set(named({"prioritizationRule": function(uri)})) == {"prioritizationRule.functionUri"}


def test_a_message_does_not_quote_the_uri() -> None:
    for uri in (SECRET.replace("https", "http"), SECRET + " ", SECRET.replace("//", "//me:s3cret@")):
        [problem] = rule_problems({"rule": function(uri)})
        assert "s3cret" not in problem.message


class NoNames(AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        raise OSError("no names here")

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("http_on_loopback", [False, True])
async def test_what_is_saved_is_what_the_client_would_call(http_on_loopback: bool) -> None:
    """The client's own check, which stays: nothing that it refuses for its form is saved."""
    async with RuleHttpClient(allow_http_loopback=http_on_loopback, jitter=lambda: 0.0, resolver=NoNames()) as client:
        for uri in (*ACCEPTED[:2], *REFUSED, *LOOPBACK[:2]):
            with pytest.raises(RuleCallError) as caught:
                await client.post_function(uri, None, {})
            if not rule_problems({"rule": function(uri)}, http_on_loopback=http_on_loopback):
                assert caught.value.code != "RuleUriInvalid", uri


@pytest.mark.parametrize("expression", ["", " ", "\n\t"])
def test_an_empty_expression_is_refused_though_it_is_a_blank_in_power_fx(expression: str) -> None:
    (problem,) = rule_problems({"prioritizationRule": {"kind": "expression", "expression": expression}})
    assert (problem.code, problem.target) == ("InvalidExpression", "prioritizationRule.expression")
