"""The console's page: files without data, open to everybody (docs/behaviour.md, "Console")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import azure.functions as func

from router.api.call import Reply
from router.api.gate import every_answer, headers_of, rendered
from router.console.files import INDEX, STATIC, StaticFile, read_files
from router.errors import NotFound, RouterError
from router.ids import Ids
from router.offload import off_loop
from router.settings import Settings
from router.version import VERSION
from router.wire.conditions import names_etag
from router.wire.encodings import takes_gzip

ROUTE: Final = "console/{*file}"
OPERATION: Final = "GetConsole"
PREFIX: Final = "console"
SETTINGS_FILE: Final = "settings.json"
SIGNED_IN: Final = "signed-in.html"
_LOOPBACK: Final = re.compile(
    r"(?:localhost|127(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}|\[::1\])(?::\d{1,5})?", re.ASCII | re.IGNORECASE
)
_GUID: Final = re.compile(r"(?:api://)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)


@dataclass(frozen=True)
class SignIn:
    """How the page gets a token of the tenant; `origin` is the identity service's."""

    authority: str
    client_id: str
    scope: str

    @property
    def origin(self) -> str:
        parts = urlsplit(self.authority)
        return f"{parts.scheme}://{parts.netloc}"


def sign_in_of(settings: Settings) -> SignIn | None:
    """None where no tenant is configured, or no app registration by which a page could sign in. Its client id is a
    setting of its own, or the audience where that is one."""
    if not settings.entra_tenant_id or not settings.entra_audiences:
        return None
    audience = settings.entra_audiences[0]
    named = _GUID.fullmatch(audience)
    client_id = settings.entra_client_id or (named[1] if named else None)
    if client_id is None:
        return None
    authority = f"{settings.entra_authority.rstrip('/')}/{settings.entra_tenant_id}"
    # An application that asks for a token for itself must name itself by its GUID.
    asked = client_id if named is not None and named[1].lower() == client_id.lower() else audience.rstrip("/")
    return SignIn(authority, client_id, f"{asked}/.default")


class Console:
    """The page's answers. `local`: the app is not in Azure, and only this machine may open the page. `history`: the
    router keeps one, and the page asks for it."""

    def __init__(self, sign_in: SignIn | None, *, local: bool, history: bool = False, folder: Path = STATIC) -> None:
        self._sign_in = sign_in
        self._local = local
        self._history = history
        self._folder = folder
        self._files: Mapping[str, StaticFile] | None = None
        connect = "'self'" if sign_in is None else f"'self' {sign_in.origin}"
        policy = (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            f"connect-src {connect}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
        self._headers: Mapping[str, str] = {
            "content-security-policy": "; ".join(policy),
            "referrer-policy": "no-referrer",
            "x-frame-options": "DENY",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=()",
        }

    async def answer(self, request: func.HttpRequest, file: str) -> func.HttpResponse:
        """`file`: its path below the page's, empty for the page itself."""
        headers = headers_of(request)
        try:
            self._check_host(headers)
            reply = await self._reply(file, headers)
        except RouterError as error:
            path = f"/{PREFIX}/{file}".rstrip("/")
            reply = Reply(error.status, error.to_wire(path), {**error.headers, "x-ms-error-code": error.code})
        always = {**every_answer(headers, Ids().guid()), **self._headers}
        if file != SIGNED_IN:
            # The sign-in may open a window of its own. The page to which that one comes back must be without: else the
            # browser parts it from the page that has opened it (MSAL Browser 5, "redirect bridge").
            always["cross-origin-opener-policy"] = "same-origin-allow-popups"
        return rendered(reply, always)

    async def _reply(self, file: str, headers: Mapping[str, str]) -> Reply:
        if file == SETTINGS_FILE:
            return Reply(body=self._settings())
        if self._files is None:
            self._files = await off_loop(read_files, self._folder)
        found = self._files.get(file or INDEX)
        if found is None:
            raise NotFound("Page", file)
        zipped = found.zipped if takes_gzip(headers.get("accept-encoding", "")) else None
        etag = found.etag if zipped is None else found.zipped_etag
        answered = {"etag": f'"{etag}"', "cache-control": "no-cache", "vary": "Accept-Encoding"}
        if names_etag(headers.get("if-none-match", ""), etag):
            return Reply(304, headers=answered)
        answered["content-type"] = found.type
        if zipped is not None:
            answered["content-encoding"] = "gzip"
        return Reply(headers=answered, content=found.content if zipped is None else zipped)

    def _settings(self) -> dict[str, object]:
        """What the page needs before anybody has signed in: nothing of it is a secret."""
        sign_in = self._sign_in
        entra = (
            {"authority": sign_in.authority, "clientId": sign_in.client_id, "scope": sign_in.scope} if sign_in else None
        )
        return {"entra": entra, "version": VERSION, **({"history": True} if self._history else {})}

    def _check_host(self, headers: Mapping[str, str]) -> None:
        """Locally a page of a foreign site could have the browser ask here under a name of its own that leads to this
        machine: the names in Host and Origin give it away."""
        origin = headers.get("origin")
        named = [headers.get("host", ""), *([origin.partition("://")[2]] if origin else [])]
        if self._local and not all(_LOOPBACK.fullmatch(name) for name in named):
            raise RouterError("Forbidden", "This page is for this machine alone: open it by a loopback name.", 403)
