"""Secrets of policies: sealed to their place, kept by a patch of other fields, shown as a mask only."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from router.errors import BadRequest
from router.models.rules import FunctionRouterRule
from router.rules.secrets import (
    MASK,
    MAX_SECRET_BYTES,
    SecretBox,
    SecretsError,
    open_secrets,
    redact_secrets,
    seal_secrets,
)

KEY = base64.b64encode(bytes(range(32))).decode()
NEW_KEY = base64.b64encode(bytes(range(1, 33))).decode()
CONTEXT = "classificationPolicies/p1"


@pytest.fixture
def box() -> SecretBox:
    return SecretBox(KEY)


def function(key: str | None = "function-key", uri: str = "https://f.example/api/rule", **more: Any) -> dict[str, Any]:
    credential = {"functionKey": key, "clientId": "id"} if key is not None else {"clientId": "id"}
    return {"kind": "function", "functionUri": uri, "credential": credential | more}


def webhook(secret: str = "client-secret") -> dict[str, Any]:
    return {
        "kind": "webhook",
        "authorizationServerUri": "https://login.example/token",
        "clientCredential": {"clientId": "id", "clientSecret": secret},
        "webhookUri": "https://w.example/rule",
    }


def policy(**changes: Any) -> dict[str, Any]:
    return {
        "name": "p1",
        "prioritizationRule": function(appKey="app-key"),
        "queueSelectorAttachments": [
            {
                "kind": "conditional",
                "condition": webhook(),
                "queueSelectors": [{"key": "a", "labelOperator": "equal", "value": "b"}],
            },
            {"kind": "ruleEngine", "rule": function("another-key", "https://f.example/api/other")},
        ],
        **changes,
    }


SECRETS = ["function-key", "app-key", "client-secret", "another-key"]


def test_what_is_sealed_can_be_opened(box: SecretBox) -> None:
    for text in ["", "key", "ключ 🔑", "x" * 16_384, "\ud800", MASK, "sealed:1:00000000:AAAA"]:
        token = box.seal(text, "place")
        assert box.open(token, "place") == text
        assert not text or text not in token.removeprefix("sealed:1:")


def test_a_policy_comes_back_whole(box: SecretBox) -> None:
    sealed = seal_secrets(policy(), box, CONTEXT)
    assert not any(secret in json.dumps(sealed) for secret in SECRETS)
    assert open_secrets(sealed, box, CONTEXT) == policy()


def test_nothing_but_the_secrets_changes(box: SecretBox) -> None:
    document = policy()
    sealed = seal_secrets(document, box, CONTEXT)
    assert document == policy()
    assert redact_secrets(sealed) == redact_secrets(document)
    assert sealed["prioritizationRule"]["credential"]["clientId"] == "id"
    assert (
        sealed["queueSelectorAttachments"][0]["queueSelectors"]
        == document["queueSelectorAttachments"][0]["queueSelectors"]
    )


def test_answers_show_only_that_one_is_set(box: SecretBox) -> None:
    shown = redact_secrets(seal_secrets(policy(), box, CONTEXT))
    assert shown["prioritizationRule"]["credential"] == {"functionKey": MASK, "appKey": MASK, "clientId": "id"}
    assert shown["queueSelectorAttachments"][0]["condition"]["clientCredential"] == {
        "clientId": "id",
        "clientSecret": MASK,
    }
    assert redact_secrets(function(None))["credential"] == {"clientId": "id"}
    assert "sealed" not in json.dumps(shown)


def test_a_static_rules_value_and_labels_are_the_clients_own(box: SecretBox) -> None:
    document = {
        "rule": {"kind": "static", "value": [function(), {"clientSecret": "x"}]},
        "actions": [{"kind": "reclassify", "labelsToUpsert": {"functionKey": "a label", "kind": "function"}}],
        "functionKey": "not a credential",
        "credential": {"functionKey": "not of a function rule"},
    }
    assert seal_secrets(document, box, CONTEXT) == document
    assert redact_secrets(document) == document


@pytest.mark.parametrize(
    "odd",
    [
        {"kind": "function"},
        {"kind": "function", "credential": None},
        {"kind": "function", "credential": "x"},
        {"kind": "function", "credential": {"functionKey": None, "appKey": 5}},
        {"kind": ["function"], "credential": {"functionKey": "x"}},
        {},
    ],
)
def test_odd_documents_pass_unchanged(box: SecretBox, odd: dict[str, Any]) -> None:
    assert seal_secrets({"rule": odd}, box, CONTEXT) == {"rule": odd}
    assert redact_secrets(odd) == odd


def test_a_patch_of_other_fields_keeps_them(box: SecretBox) -> None:
    stored = seal_secrets(policy(), box, CONTEXT)
    merged = stored | {"name": "another name"}
    assert seal_secrets(merged, box, CONTEXT, stored) == merged


def test_the_mask_means_unchanged(box: SecretBox) -> None:
    stored = seal_secrets(policy(), box, CONTEXT)
    assert seal_secrets(redact_secrets(stored), box, CONTEXT, stored) == stored


def test_the_mask_follows_its_rule_when_a_list_is_reordered(box: SecretBox) -> None:
    stored = seal_secrets(policy(), box, CONTEXT)
    shown = redact_secrets(stored)
    shown["queueSelectorAttachments"].reverse()
    again = open_secrets(seal_secrets(shown, box, CONTEXT, stored), box, CONTEXT)
    assert again["queueSelectorAttachments"] == list(reversed(policy()["queueSelectorAttachments"]))


def test_the_mask_does_not_carry_a_secret_to_another_address(box: SecretBox) -> None:
    stored = seal_secrets(policy(), box, CONTEXT)
    for document in (
        policy(prioritizationRule=function(MASK, "https://elsewhere.example/")),
        policy(prioritizationRule={**webhook(MASK), "authorizationServerUri": "https://elsewhere.example/"}),
    ):
        with pytest.raises(BadRequest) as refused:
            seal_secrets(document, box, CONTEXT, stored)
        assert refused.value.details[0].code == "SecretMissing"
        assert (refused.value.target or "").startswith("prioritizationRule.c")


def test_a_mask_with_nothing_behind_it_is_refused(box: SecretBox) -> None:
    for previous in (None, {}, {"prioritizationRule": function(None)}):
        with pytest.raises(BadRequest, match="there is none"):
            seal_secrets({"prioritizationRule": function(MASK)}, box, CONTEXT, previous)


def test_a_mask_that_could_mean_two_secrets_is_refused(box: SecretBox) -> None:
    stored = seal_secrets({"rules": [function("one"), function("two")]}, box, CONTEXT)
    assert seal_secrets(redact_secrets(stored), box, CONTEXT, stored) == stored
    with pytest.raises(BadRequest, match="more than one"):
        seal_secrets({"rule": function(MASK)}, box, CONTEXT, stored)


def test_a_changed_secret_is_sealed_anew_and_the_same_one_stays_the_same(box: SecretBox) -> None:
    stored = seal_secrets(policy(), box, CONTEXT)
    assert seal_secrets(policy(), box, CONTEXT, stored) == stored
    changed = seal_secrets(policy(prioritizationRule=function("a new key")), box, CONTEXT, stored)
    assert changed != stored
    assert open_secrets(changed, box, CONTEXT)["prioritizationRule"]["credential"]["functionKey"] == "a new key"


def test_a_clients_text_that_looks_sealed_is_sealed_like_any_other(box: SecretBox) -> None:
    forged = SecretBox(KEY).seal("x", "elsewhere")
    sealed = seal_secrets({"r": function(forged)}, box, CONTEXT)
    assert sealed["r"]["credential"]["functionKey"] != forged
    assert open_secrets(sealed, box, CONTEXT)["r"]["credential"]["functionKey"] == forged


def test_a_token_is_bound_to_its_policy_and_field(box: SecretBox) -> None:
    sealed = seal_secrets({"r": function(appKey="app-key")}, box, CONTEXT)
    with pytest.raises(SecretsError, match="another policy"):
        open_secrets(sealed, box, "classificationPolicies/p2")
    credential = sealed["r"]["credential"]
    credential["functionKey"], credential["appKey"] = credential["appKey"], credential["functionKey"]
    with pytest.raises(SecretsError):
        open_secrets(sealed, box, CONTEXT)


def test_a_changed_token_is_refused(box: SecretBox) -> None:
    token = box.seal("secret", "place")
    raw = bytearray(base64.urlsafe_b64decode(token.rpartition(":")[2]))
    for position in range(len(raw)):
        changed = bytes(raw[:position]) + bytes([raw[position] ^ 1]) + bytes(raw[position + 1 :])
        with pytest.raises(SecretsError, match="damaged"):
            box.open(token.rpartition(":")[0] + ":" + base64.urlsafe_b64encode(changed).decode(), "place")
    for broken in (token[:-8], token[:30], "sealed:1:", "", "secret", token.replace("sealed:1:", "sealed:1:ffffffff:")):
        with pytest.raises(SecretsError):
            box.open(broken, "place")


def test_the_longest_secret_still_fits_its_field_when_sealed(box: SecretBox) -> None:
    longest = "я" * (MAX_SECRET_BYTES // 2)
    sealed = seal_secrets({"r": function(longest)}, box, CONTEXT)
    rule = FunctionRouterRule.model_validate(sealed["r"])
    assert rule.credential is not None
    with pytest.raises(BadRequest, match="at most 4096 bytes") as refused:
        seal_secrets({"r": function(longest + "x")}, box, CONTEXT)
    assert longest not in refused.value.message


def test_the_key_decides_what_a_token_looks_like(box: SecretBox) -> None:
    token, other = (box.seal("secret", "place") for box in (box, SecretBox(NEW_KEY)))
    assert token == box.seal("secret", "place")
    assert token.rpartition(":")[2] != other.rpartition(":")[2]


def test_keys_rotate(box: SecretBox) -> None:
    old = box.seal("secret", "place")
    both = SecretBox(f"{NEW_KEY}, {KEY}")
    assert both.open(old, "place") == "secret"
    new = both.seal("secret", "place")
    assert SecretBox(NEW_KEY).open(new, "place") == "secret"
    with pytest.raises(SecretsError, match="key that is not configured"):
        SecretBox(NEW_KEY).open(old, "place")
    with pytest.raises(SecretsError, match="key that is not configured"):
        box.open(new, "place")


def test_without_a_key_a_policy_with_a_secret_is_refused_and_others_are_not() -> None:
    with pytest.raises(BadRequest, match="ROUTER_SECRETS_KEY is not configured") as refused:
        seal_secrets(policy(), None, CONTEXT)
    assert refused.value.details[0].code == "SecretsNotConfigured"
    assert not any(secret in str(refused.value.to_wire("/")) for secret in SECRETS)
    assert seal_secrets({"r": function(None)}, None, CONTEXT) == {"r": function(None)}


def test_without_a_key_stored_secrets_cannot_be_used_but_are_kept(box: SecretBox) -> None:
    stored = seal_secrets(policy(), box, CONTEXT)
    assert seal_secrets(stored | {"name": "n"}, None, CONTEXT, stored) == stored | {"name": "n"}
    with pytest.raises(SecretsError, match="ROUTER_SECRETS_KEY"):
        open_secrets(stored, None, CONTEXT)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("", "key 1 has 0 bytes"),
        ("YWJj", "key 1 has 3 bytes"),
        (f"{KEY},nonsense!", "key 2 is not valid base64"),
        (KEY + ",", "key 2 has 0 bytes"),
    ],
)
def test_unusable_keys_are_named_without_being_quoted(setting: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        SecretBox(setting)
    assert KEY not in str(refused.value)


def test_the_cipher_is_not_loaded_before_it_is_needed() -> None:
    import subprocess
    import sys

    code = "import sys, router.rules.secrets as s; s.redact_secrets({}); sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
