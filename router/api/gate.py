"""The way into every operation: authenticate, check, call its handler, answer, count
(docs/behaviour.md, "General rules", "Authentication" and "Request metric")."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import azure.functions as func

from router import offload
from router.api.admission import PAGES, Admission
from router.api.auth.authenticate import Authenticator, Caller
from router.api.auth.encodings import LEFT_BY_CLIENTS
from router.api.auth.ratelimit import RateLimiter
from router.api.auth.route import sent_paths
from router.api.auth.target import RequestTarget, TargetReader
from router.api.call import Call, Reply, parse_ids, parse_query, route_ids
from router.api.cors import Cors
from router.api.handlers import HANDLERS
from router.api.in_flight import SMALL_BYTES, InFlight
from router.api.patience import patience
from router.clock import Clock
from router.commit.acting import acting
from router.commit.parts import Parts
from router.engine.ownership import Own
from router.errors import Busy, Forbidden, LengthRequired, RouterError, TooLarge
from router.models.operations import SUPPORTED_VERSIONS_HEADER, Operation
from router.models.rights import ROLE_PREFIX, Reach, Right, reach, reaches
from router.outages import WrongClock, is_told
from router.rules.secrets import SecretBox
from router.storage.port import StorageUnavailable
from router.storage.turns import Urgency, at_least
from router.telemetry import names, tracing
from router.telemetry.requests import count_request
from router.usecases.live import Live
from router.wire.bodies import check_values
from router.wire.documents import json_bytes
from router.wire.parse import MAX_BODY_BYTES, check_encoding
from router.wire.query import parse_api_version

_log = logging.getLogger(__name__)

#: The content type of every answer that has a body.
JSON: Final = "application/json; charset=utf-8"
SAFE_HEADERS: Final = {
    "api-supported-versions": SUPPORTED_VERSIONS_HEADER,
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "cache-control": "no-store",
}
#: A smaller body is read within a turn of the loop, and some of them too.
_LIGHT_BYTES: Final = 1_024
_LOOPBACK: Final = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])\.?(?::[0-9]+)?", re.IGNORECASE)


@dataclass
class Gate:
    """What stands before the handlers."""

    parts: Parts
    #: What signatures and tokens are held against: clients know no other than the machine's.
    clock: Clock
    authenticator: Authenticator
    limiter: RateLimiter
    targets: TargetReader
    token_keys: tuple[str, ...]
    secrets: SecretBox | None
    http_on_loopback: bool = False
    in_flight: InFlight = field(default_factory=InFlight)
    admission: Admission = field(default_factory=Admission)
    #: Whether the platform stands in front, and tells from where a request comes.
    on_app_service: bool = False
    cors: Cors = field(default_factory=Cors)
    live: Live = field(init=False)

    def __post_init__(self) -> None:
        self.live = Live(self.parts)

    async def serve(
        self, operation: Operation, request: func.HttpRequest, traceparent: str | None = None
    ) -> func.HttpResponse:
        """Answers one request of an operation and counts it, whatever the outcome. `traceparent` is the host's own
        span, which is nearer than what the client sent."""
        started = time.perf_counter()
        status = 500
        asked: str | None = None
        request_id = self.parts.ids.guid()
        try:
            headers = headers_of(request)
            target = self.targets.read(request.url, headers)
            query = parse_query(target.query)
            asked = query.get("api-version")
            attributes = {names.ATTRIBUTE_REQUEST_ID: request_id, names.ATTRIBUTE_OPERATION: operation.name}
            parent = traceparent or headers.get("traceparent")
            with tracing.span(operation.name, attributes, parent, entry=True) as span:
                reply = await self._reply(operation, request, headers, target, query, span, request_id)
                status = reply.status
                span.set(names.ATTRIBUTE_STATUS_CODE, status)
                if status >= 500:
                    span.fail(f"answered {status}")
                return self.render(reply, headers, request_id)
        finally:
            count_request(operation.name, asked, status, time.perf_counter() - started)

    async def admit(self, request: func.HttpRequest) -> RequestTarget:
        """Only authentication and the rate limit: for what is not an operation. Raises RouterError."""
        headers = headers_of(request)
        target = self.targets.read(request.url, headers)
        caller = await self._authenticate(request, headers, target)
        await self.authenticator.check_body(caller, request.get_body())
        return target

    def render(self, reply: Reply, headers: Mapping[str, str], request_id: str | None = None) -> func.HttpResponse:
        always = {**every_answer(headers, request_id or self.parts.ids.guid()), **self.cors.headers(headers)}
        return rendered(reply, always)

    async def _reply(
        self,
        operation: Operation,
        request: func.HttpRequest,
        headers: Mapping[str, str],
        target: RequestTarget,
        query: Mapping[str, str],
        span: tracing.ActiveSpan,
        request_id: str,
    ) -> Reply:
        try:
            async with patience(self.parts.around.storage):
                return await self._answer(operation, request, headers, target, query, span)
        except Exception as error:
            return refusal(error, operation.name, target.path, request_id)

    async def _answer(
        self,
        operation: Operation,
        request: func.HttpRequest,
        headers: Mapping[str, str],
        target: RequestTarget,
        query: Mapping[str, str],
        span: tracing.ActiveSpan,
    ) -> Reply:
        caller = await self._authenticate(request, headers, target, operation)
        span.set(names.ATTRIBUTE_CALLER, caller.id)
        call = Call(
            operation=operation,
            caller=caller,
            own=_own(caller, operation),
            live=self.live,
            parts=self.parts,
            api_version=parse_api_version(query),
            ids=_ids(operation, request, target, caller),
            query=query,
            headers=headers,
            body=request.get_body(),
            token_keys=self.token_keys,
            secrets=self.secrets,
            http_on_loopback=self.http_on_loopback,
        )
        if call.ids and operation.resource == "Job":
            span.set(names.ATTRIBUTE_JOB, call.id)
        elif call.ids and operation.resource == "Worker":
            span.set(names.ATTRIBUTE_WORKER, call.id)
        if operation.method in ("PATCH", "POST"):
            check_encoding(call.body, headers.get("content-encoding"))
        if operation.method != "GET":
            await self.parts.on_time()
        size = len(call.body)
        with self.in_flight.keep(size):
            async with self.admission.take(self._who(caller, headers), operation.name), self.in_flight.hold(size):
                # Not before: a flood of large bodies is refused before much is done for each.
                await self.authenticator.check_body(caller, call.body)
                return await self._handle(call)

    async def _handle(self, call: Call) -> Reply:
        operation = call.operation
        # To read one thing costs little, and others' work is not to make it wait.
        reads_one = operation.method == "GET" and bool(call.ids) and operation.name not in PAGES
        urgency = Urgency.ROUND if reads_one else Urgency.ANSWER
        with acting(call.caller.actor), at_least(urgency), offload.request(_weight_of(call)):
            if operation.method in ("PATCH", "POST"):
                await offload.by_weight(check_values, call.body)
            return await HANDLERS[operation.name](call)

    def _who(self, caller: Caller, headers: Mapping[str, str]) -> str:
        """Who takes turns with others: a caller at an address, since many applications share a key. Of the addresses in
        the header the platform has added the last one."""
        if not self.on_app_service:
            return caller.id
        return f"{caller.id} {headers.get('x-forwarded-for', '').rpartition(',')[2].strip().rpartition(':')[0]}"

    async def _authenticate(
        self,
        request: func.HttpRequest,
        headers: Mapping[str, str],
        target: RequestTarget,
        operation: Operation | None = None,
    ) -> Caller:
        body = request.get_body()
        if not body and _may_have_lost_its_body(operation, headers):
            raise LengthRequired
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"The body has {len(body)} bytes; at most {MAX_BODY_BYTES} are accepted.")
        now = self.clock.now()
        paths = sent_paths(operation.route, target.path, request.route_params, LEFT_BY_CLIENTS) if operation else ()
        caller = await self.authenticator.authenticate(
            request.method or "", target.value, target.known, headers, now, paths
        )
        self.limiter.check(caller.id, now)
        if not caller.rights:
            roles = ", ".join(f"{ROLE_PREFIX}{right}" for right in Right)
            raise Forbidden(f"The token has none of the roles {roles}.")
        return caller


def _weight_of(call: Call) -> offload.Weight:
    """How long it takes to read. A policy may be large though the patch of it is small."""
    if call.operation.method not in ("PATCH", "POST"):
        return offload.Weight.LIGHT
    if len(call.body) > SMALL_BYTES or call.operation.resource.endswith("Policy"):
        return offload.Weight.HEAVY
    return offload.Weight.MEDIUM if len(call.body) > _LIGHT_BYTES else offload.Weight.LIGHT


def _own(caller: Caller, operation: Operation) -> Own | None:
    """What holds the caller to what is its own; None where its rights reach everywhere. Raises Forbidden."""
    found = reach(caller.rights, operation.name)
    if found is Reach.NONE:
        needed = ", ".join(right for right, far in reaches(operation.name).items() if far is not Reach.NONE)
        raise Forbidden(f"{operation.name} needs one of the rights {needed}.")
    return Own(caller.object_id) if found is Reach.OWN else None


def rendered(reply: Reply, always: Mapping[str, str]) -> func.HttpResponse:
    """The answer with the headers of every answer and its own."""
    headers = {**always, **reply.headers}
    if reply.content is not None:
        type = next((value for name, value in headers.items() if name.lower() == "content-type"), JSON)
        return func.HttpResponse(reply.content, status_code=reply.status, headers=headers, mimetype=type)
    if reply.body is None:
        return func.HttpResponse(status_code=reply.status, headers=headers)
    return func.HttpResponse(json_bytes(reply.body), status_code=reply.status, headers=headers, mimetype=JSON)


#: Operations with a body that say what they do without one.
_WITHOUT_BODY: Final = frozenset({"AcceptJobOffer"})


def _may_have_lost_its_body(operation: Operation | None, headers: Mapping[str, str]) -> bool:
    """Whether a body was sent in chunks, which the platform does not hand over. Some clients send an empty one so."""
    if operation is None or operation.method not in ("PATCH", "POST") or operation.name in _WITHOUT_BODY:
        return False
    return "chunked" in headers.get("transfer-encoding", "").lower()


def _ids(operation: Operation, request: func.HttpRequest, target: RequestTarget, caller: Caller) -> tuple[str, ...]:
    """From what cannot have been rebuilt wrongly: the signed path, the raw one where the platform tells it, and
    otherwise the route values."""
    if caller.signed is not None:
        return parse_ids(operation, caller.signed.partition("?")[0])
    if target.known:
        return parse_ids(operation, target.path)
    return route_ids(operation, request.route_params)


def headers_of(request: func.HttpRequest) -> dict[str, str]:
    """By lower-case name."""
    return {name.lower(): value for name, value in request.headers.items()}


def every_answer(headers: Mapping[str, str], request_id: str) -> dict[str, str]:
    """The headers of every answer to a request with these headers."""
    answered = {**SAFE_HEADERS, "x-ms-request-id": request_id}
    if _LOOPBACK.fullmatch(headers.get("host", "")):
        # A browser would take the promise of https for every other server that is ever tried on this machine.
        del answered["strict-transport-security"]
    if "x-ms-client-request-id" in headers:
        answered["x-ms-client-request-id"] = _printable(headers["x-ms-client-request-id"])
    return answered


def refusal(error: Exception, what: str, path: str, request_id: str = "") -> Reply:
    """The answer to a failed request to this path. What is not one of the router's errors is a plain 500, told in the
    log under the request's id."""
    if isinstance(error, StorageUnavailable):
        if not is_told(error):
            _log.warning("Storage did not answer: %s", error, extra={"operation": what, "request_id": request_id})
        error = Busy("Storage did not answer. Try again.")
    elif isinstance(error, WrongClock):
        error = Busy(f"{error} Nothing is changed by it. Try again.")
    if not isinstance(error, RouterError):
        _log.error("Unhandled error", exc_info=error, extra={"operation": what, "request_id": request_id})
        error = RouterError("InternalServerError", "The router failed. The log tells why.", 500)
    headers = {**error.headers, "x-ms-error-code": error.code}
    if "Allow" in headers:
        headers["Allow"] = _with_head(headers["Allow"])
    return Reply(error.status, error.to_wire(path), headers)


def _with_head(methods: str) -> str:
    """HEAD is served wherever GET is: as a GET, of whose answer the host drops the body."""
    named = [name.strip() for name in methods.split(",")]
    return ", ".join(sorted({*named, "HEAD"}) if "GET" in named else named)


def _printable(text: str) -> str:
    return "".join(letter for letter in text[:256] if 32 <= ord(letter) < 127)
