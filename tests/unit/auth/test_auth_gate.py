"""The gate: which scheme goes where, and what a refusal looks like."""

from __future__ import annotations

import subprocess
import sys

import pytest
from azure.functions import HttpRequest

from router.api.auth.authenticate import Authenticator
from router.api.auth.entra import EntraTokens
from router.api.auth.hmac import AccessKeys
from router.api.auth.refusal import Unauthorized
from tests.unit.auth.signed_wire import KEY, OTHER_KEY
from tests.unit.auth.test_auth_hmac import NOW, TARGET, signed

KEYS = AccessKeys([KEY, OTHER_KEY])
ENTRA = EntraTokens("tenant", ["audience"], authority="http://127.0.0.1:1")


async def refusal(headers: dict[str, str], gate: Authenticator | None = None) -> Unauthorized:
    with pytest.raises(Unauthorized) as refused:
        await (gate or Authenticator(KEYS)).authenticate("GET", TARGET, True, headers, NOW)
    return refused.value


async def test_a_caller_with_a_key() -> None:
    for number, key in enumerate((KEY, OTHER_KEY)):
        caller = await Authenticator(KEYS).authenticate("GET", TARGET, True, signed(key=key), NOW)
        assert (caller.kind, caller.key_index, caller.id) == ("key", number, f"key:{number}")


async def test_the_headers_of_a_functions_request_are_understood() -> None:
    headers = {name.title(): value for name, value in signed().items()}
    request = HttpRequest("GET", f"http://h{TARGET}", headers=headers, body=b"")
    caller = await Authenticator(KEYS).authenticate("GET", TARGET, True, request.headers, NOW)
    assert caller.key_index == 0


async def test_the_scheme_has_no_case() -> None:
    headers = signed()
    headers["authorization"] = headers["authorization"].replace("HMAC-SHA256", "hmac-sha256")
    caller = await Authenticator(KEYS).authenticate("GET", TARGET, True, headers, NOW)
    assert caller.id == "key:0"


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "MissingCredentials"),
        ("", "MissingCredentials"),
        ("Basic dXNlcjpwYXNz", "UnsupportedScheme"),
        ("HMAC-SHA512 SignedHeaders=a&Signature=b", "UnsupportedScheme"),
        ("Bearer abc", "UnsupportedScheme"),
        ("HMAC-SHA256 x", "InvalidAuthorizationHeader"),
    ],
)
async def test_what_is_not_accepted(authorization: str | None, reason: str) -> None:
    refused = await refusal({} if authorization is None else {"authorization": authorization})
    assert refused.reason == reason
    assert refused.status == 401
    assert refused.headers == {"WWW-Authenticate": "HMAC-SHA256"}
    assert refused.to_wire("/routing/jobs")["error"] == {
        "code": "Unauthorized",
        "message": refused.message,
        "target": "/routing/jobs",
        "details": [{"code": reason, "message": refused.message}],
    }
    assert "dXNlcjpwYXNz" not in refused.message


async def test_the_challenge_names_what_is_configured() -> None:
    assert (await refusal({}, Authenticator(KEYS, ENTRA))).headers["WWW-Authenticate"] == "HMAC-SHA256, Bearer"
    assert (await refusal({}, Authenticator(None, ENTRA))).headers["WWW-Authenticate"] == "Bearer"
    refused = await refusal(signed() | {"host": "x"}, Authenticator(KEYS, ENTRA))
    assert refused.reason == "SignatureMismatch"
    assert refused.headers["WWW-Authenticate"] == "HMAC-SHA256, Bearer"


async def test_keys_are_not_accepted_where_none_are_configured() -> None:
    assert (await refusal(signed(), Authenticator(None, ENTRA))).reason == "UnsupportedScheme"


def test_a_gate_that_nobody_could_pass_is_not_built() -> None:
    with pytest.raises(ValueError, match="nobody could call"):
        Authenticator(None, None)


def test_a_router_with_keys_alone_loads_nothing_for_tokens() -> None:
    code = "import sys, router.api.auth.authenticate; sys.exit(any(m in sys.modules for m in ('jwt', 'cryptography', 'aiohttp')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
