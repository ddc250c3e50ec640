"""The OpenAPI document for the developer alone: `curl http://localhost:7071/openapi.json` without a signature.

It stands before the app's own function and takes no more than what comes from this machine, by a loopback name, without
an Authorization header. All else goes to the app, which wants a signature: so does a deployed router, which has none
of this."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from aiohttp import web

from local.expectation import answer_expectation
from local.loopback import is_local
from router.api.functions import openapi
from router.api.gate import JSON, every_answer
from router.ids import Ids

PATH: Final = "/openapi.json"
_SERVED: Final = ("GET", "HEAD")


def mount(app: web.Application, _: str) -> None:
    """For `python -m local.host --mount local.document:mount`."""
    resource = _ForTheDeveloper(PATH)
    resource.add_route("GET", _tell, expect_handler=answer_expectation)
    resource.add_route("HEAD", _tell, expect_handler=answer_expectation)
    app.router.register_resource(resource)


class _ForTheDeveloper(web.PlainResource):
    """Is there for some requests only; the others find the next resource that fits."""

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        return await super().resolve(request) if _is_the_developers(request) else (None, set())


def _is_the_developers(request: web.Request) -> bool:
    if request.method not in _SERVED or "Authorization" in request.headers or not is_local(request):
        return False
    try:
        return ip_address(request.remote or "").is_loopback
    except ValueError:
        return False


async def _tell(request: web.Request) -> web.Response:
    headers = every_answer({name.lower(): value for name, value in request.headers.items()}, Ids().guid())
    return web.Response(body=await openapi(), headers={**headers, "Content-Type": JSON})
