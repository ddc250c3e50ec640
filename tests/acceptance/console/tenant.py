"""A tenant of Microsoft Entra ID in small, for sign-ins: its pages speak as those of the real one are documented to."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from local.certificate import Certificate

TENANT: Final = "72f988bf-86f1-41af-91ab-2d7cd011db47"
AUDIENCE: Final = "https://router.example.com"
CLIENT: Final = "11111111-2222-4333-8444-555555555555"
SCOPE: Final = f"{AUDIENCE}/.default"
_KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Tenant:
    """A tenant of Microsoft Entra ID in small: its keys, its sign-in page, which asks nothing, and its tokens."""

    def __init__(self) -> None:
        self.authority = ""
        #: Who signs in, with which roles.
        self.person, self.roles = "", ("Router.Supervise",)
        #: Where answers may be sent to.
        self.redirect_uri = ""
        self.person_refuses = False
        #: Its page stays as it is: the person looks for a telephone.
        self.dawdles = False
        #: Answers nobody's questions for tokens, or no renewals any more.
        self.is_down = self.has_ended = False
        #: Seconds that a token is good for.
        self.lasts = 3600
        self.parts_windows = True
        #: Requests that did not come as they are documented.
        self.refused: list[str] = []
        #: How often a token was renewed.
        self.renewed = 0
        self._asked: dict[str, str] = {}
        self._code = self._refresh = ""
        self.proofs: list[bool] = []
        """Of each code whether it was redeemed with the proof of who had asked for it."""

    def token(self, object_id: str, *roles: str, **claims: Any) -> str:
        now = datetime.now(UTC).timestamp()
        told = {"iss": f"{self.authority}/{TENANT}/v2.0", "aud": AUDIENCE, "exp": now + 600, "nbf": now - 60}
        told |= {"iat": now, "oid": object_id, "tid": TENANT, "sub": object_id, "roles": list(roles), **claims}
        return jwt.encode(told, _KEY, algorithm="RS256", headers={"kid": "one"})

    @asynccontextmanager
    async def serve(self, certificate: Certificate) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get(f"/{TENANT}/discovery/v2.0/keys", self._keys)
        app.router.add_get(f"/{TENANT}/v2.0/.well-known/openid-configuration", self._configuration)
        app.router.add_get(f"/{TENANT}/oauth2/v2.0/authorize", self._authorize)
        app.router.add_post(f"/{TENANT}/oauth2/v2.0/token", self._token)
        runner = web.AppRunner(app)
        await runner.setup()
        secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        secure.load_cert_chain(certificate.certificate, certificate.key)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=secure).start()
        self.authority = f"https://localhost:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _keys(self, request: web.Request) -> web.Response:
        shown = jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key(), as_dict=True)
        return _open({"keys": [{**shown, "kid": "one", "use": "sig"}]})

    async def _configuration(self, request: web.Request) -> web.Response:
        base = f"{self.authority}/{TENANT}"
        return _open(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
            }
        )

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        """Refuses what the documentation of the authorization code flow for single-page apps does not ask for."""
        asked = dict(request.query)
        wanted = {"client_id": CLIENT, "response_type": "code", "code_challenge_method": "S256"}
        wanted |= {"redirect_uri": self.redirect_uri, "response_mode": "fragment"}
        odd = {name: asked.get(name) for name, value in wanted.items() if asked.get(name) != value}
        lacking = {"openid", "profile", "offline_access", SCOPE} - set(asked.get("scope", "").split())
        if odd or lacking or not asked.get("state") or not asked.get("nonce") or not asked.get("code_challenge"):
            self.refused.append(f"authorize: {odd} {lacking}")
            return web.Response(
                status=400, text="AADSTS900144: The request body must contain the documented parameters."
            )
        if self.dawdles:
            return web.Response(headers={"Cross-Origin-Opener-Policy": "same-origin"}, text="Enter the code.")
        if self.person_refuses:
            told = {"error": "access_denied", "error_description": "AADSTS65004: User declined to consent."}
        else:
            self._asked = asked
            self._code = secrets.token_urlsafe(16)
            told = {"code": self._code, "session_state": "one"}
        # The real one parts its window from who has opened it.
        headers = {"Cross-Origin-Opener-Policy": "same-origin"} if self.parts_windows else {}
        answer = urlencode({**told, "state": asked["state"]})
        return web.Response(status=302, headers={**headers, "Location": f"{self.redirect_uri}#{answer}"})

    async def _token(self, request: web.Request) -> web.Response:
        if self.is_down:
            return _open({"error": "temporarily_unavailable", "error_description": "AADSTS90033"}, 503)
        form = {name: str(value) for name, value in (await request.post()).items()}
        if request.headers.get("Origin") != self.redirect_uri.partition("/console/")[0]:
            return self._refuse(9002327, "invalid_request", "may only be redeemed via cross-origin requests")
        if form.get("client_id") != CLIENT or SCOPE not in form.get("scope", "").split():
            return self._refuse(
                70011, "invalid_scope", "The provided value for the input parameter 'scope' isn't valid."
            )
        if form["grant_type"] == "refresh_token":
            if self.has_ended or form.get("refresh_token") != self._refresh:
                return self._refuse(700084, "invalid_grant", "The refresh token was issued to a single page app.")
            self.renewed += 1
        else:
            proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            proven = base64.urlsafe_b64encode(proof).decode().rstrip("=") == self._asked["code_challenge"]
            self.proofs.append(proven)
            if not proven or form.get("redirect_uri") != self.redirect_uri or form.get("code") != self._code:
                return self._refuse(70000, "invalid_grant", "Provided grant is invalid or malformed.")
            self._code = ""
        self._refresh = secrets.token_urlsafe(16)
        about = json.dumps({"uid": self.person, "utid": TENANT}).encode()
        return _open(
            {
                "token_type": "Bearer",
                "scope": SCOPE,
                "expires_in": self.lasts,
                "ext_expires_in": self.lasts,
                "access_token": self.token(self.person, *self.roles),
                "refresh_token": self._refresh,
                "id_token": self.token(
                    self.person, aud=CLIENT, nonce=self._asked["nonce"], preferred_username="ada@example.com"
                ),
                "client_info": base64.urlsafe_b64encode(about).decode().rstrip("="),
            }
        )

    def _refuse(self, number: int, error: str, why: str) -> web.Response:
        """In the form of the token endpoint."""
        self.refused.append(f"token: {error} {number}")
        told = {"error": error, "error_description": f"AADSTS{number}: {why}", "error_codes": [number]}
        return _open({**told, "timestamp": "2026-11-29 02:02:12Z", "trace_id": CLIENT, "correlation_id": CLIENT}, 400)


def _open(body: Any, status: int = 200) -> web.Response:
    headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}
    if status == 503:
        headers["Retry-After"] = "1"
    return web.json_response(body, status=status, headers=headers)
