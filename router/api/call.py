"""One request as a handler sees it, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from router.api.auth.authenticate import Caller
from router.api.auth.route import is_unsure
from router.commit.parts import Parts
from router.engine.ownership import Own
from router.errors import BadRequest, ErrorDetail, NotFound
from router.models.operations import Operation
from router.models.types import check_id
from router.rules.secrets import SecretBox
from router.usecases.live import Live
from router.usecases.settings import Check
from router.wire.conditions import http_date, quote_etag, read_conditions

_BY_KEY: Final = Caller("key", 0)


@dataclass(frozen=True)
class Reply:
    """Status, JSON body (none: no content) and headers beyond those of every answer. `content` instead of a body is
    sent as it is."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


@dataclass(frozen=True)
class Call:
    """An authenticated request: ids decoded, headers by lower-case name."""

    operation: Operation
    parts: Parts
    api_version: str
    ids: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    #: Access keys (or what stands for them): continuation tokens are sealed with these.
    token_keys: tuple[str, ...]
    #: Keeps secrets of policies; without it a policy that has some is refused.
    secrets: SecretBox | None
    #: Whether rules may call plain http on loopback.
    http_on_loopback: bool
    caller: Caller = _BY_KEY
    #: Set where the caller's rights reach to what is its own alone: handlers hand it to what decides.
    own: Own | None = None
    #: What happens now, shared by all who look.
    live: Live | None = None

    @property
    def id(self) -> str:
        return self.ids[0]

    @property
    def content_type(self) -> str | None:
        return self.headers.get("content-type")

    @property
    def check(self) -> Check:
        return read_conditions(self.headers).check


def parse_query(text: str) -> dict[str, str]:
    """Query parameters, decoded, under lower-case names; of a repeated one the last counts."""
    return {name.lower(): value for name, value in parse_qsl(text, keep_blank_values=True, errors="replace")}


def parse_ids(operation: Operation, path: str) -> tuple[str, ...]:
    """The ids in a raw request path, percent-decoded once. The action of a POST is what follows the last `:`.
    Raises NotFound, BadRequest."""
    segments = path.strip("/").split("/")
    template = operation.route.split("/")
    if len(segments) != len(template):
        raise NotFound("Route", path)
    ids: list[str] = []
    for given, wanted in zip(segments, template, strict=True):
        if not wanted.startswith("{"):
            continue
        name, _, action = wanted[1:].partition("}")
        text = unquote(given, errors="surrogateescape")
        if action:
            text = text.rpartition(":")[0]
        ids.append(_checked(name, text))
    return tuple(ids)


def route_ids(operation: Operation, values: Mapping[str, str]) -> tuple[str, ...]:
    """The ids in the route values of a request, for one whose raw path nobody has vouched for. Raises NotFound,
    BadRequest: also for an id that may have been another one when it was sent, so that none is taken for another."""
    ids: list[str] = []
    for part in operation.route.split("/"):
        if not part.startswith("{"):
            continue
        name = part[1:].partition("}")[0]
        if name not in values:
            raise NotFound("Route", operation.route)
        text = values[name]
        if is_unsure(text):
            message = (
                f"'{name}' cannot be told: the platform has decoded the path, so that this may be another id than was "
                "sent. A request that is signed with an access key tells it."
            )
            raise BadRequest(message, target=name, details=[ErrorDetail("InvalidId", message, name)])
        ids.append(_checked(name, text))
    return tuple(ids)


def _checked(name: str, text: str) -> str:
    try:
        return check_id(text)
    except ValueError as error:
        message = f"'{name}' {error}."
        raise BadRequest(message, target=name, details=[ErrorDetail("InvalidId", message, name)]) from None


def resource_headers(etag: str, modified: datetime) -> dict[str, str]:
    return {"ETag": quote_etag(etag), "Last-Modified": http_date(modified)}
