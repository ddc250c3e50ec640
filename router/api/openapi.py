"""The OpenAPI 3.1 document, made from the operation table and the models. `python -m router.api.openapi` prints it."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import Any, Final

from pydantic_core import to_json

from router.models.jobs import JobStatus
from router.models.operations import API_VERSIONS, GA, OPERATIONS, Operation
from router.models.rights import reaches
from router.models.workers import WorkerState
from router.wire.paging import MAX_PAGE_SIZE
from router.wire.parse import PATCH_TYPES
from router.wire.query import DEFAULT_PAGE_SIZE
from router.wire.schemas import RESOURCES, component_schemas, ref, update_name

Document = dict[str, Any]

_ID: Final[Document] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 256,
    "pattern": "^[^\\u0000-\\u001F\\u007F-\\u009F]+$",
    "not": {"enum": [".", ".."]},
}
_SUMMARIES: Final = {
    "Upsert": "Creates or updates {a}.",
    "Get": "Reads {a}.",
    "Delete": "Deletes {a}. What is not there is deleted already.",
}
_NOUNS: Final = {
    "ClassificationPolicy": "a classification policy",
    "DistributionPolicy": "a distribution policy",
    "ExceptionPolicy": "an exception policy",
    "Queue": "a queue",
    "Job": "a job",
    "Worker": "a worker",
}
_SAYS: Final = {
    "GetQueueStatistics": "How many jobs wait in a queue, and for how long.",
    "GetInQueuePosition": "Where a queued job stands in its queue.",
    "ReclassifyJob": "Classifies a job again.",
    "CancelJob": "Cancels a job that is not completed, closed or cancelled.",
    "CompleteJob": "Completes an assigned job; its capacity stays in use until it is closed.",
    "CloseJob": "Closes a completed job, now or at a given time.",
    "UnassignJob": "Takes a job from its worker, back into its queue or suspended.",
    "AcceptJobOffer": "Accepts an offer. Accepting it again gives the same answer.",
    "DeclineJobOffer": "Declines an offer.",
    "GetLive": "What happens now: queues, workers and waiting jobs. Beyond Azure Communication Services.",
    "GetRights": "What the caller may do. Beyond Azure Communication Services.",
    "ExplainJob": "Why a job is where it is, or was at a time. Beyond Azure Communication Services.",
    "GetJobTimeline": "What was committed of a job, by whom. Beyond Azure Communication Services.",
    "GetWorkerTimeline": "What was committed of a worker, by whom. Beyond Azure Communication Services.",
    "ListChanges": "Changes of policies and queues, before and after. Beyond Azure Communication Services.",
    "ListHistory": "What was committed of all jobs and workers. Beyond Azure Communication Services.",
    "GetQueueReport": "What queues did, by time. Beyond Azure Communication Services.",
    "GetWorkerReport": "What workers did, by time. Beyond Azure Communication Services.",
    "GetShadowReport": "What candidate policies would have done, by day. Beyond Azure Communication Services.",
}
#: Actions and other reads: the schemas of the options and of the answer.
_OTHERS: Final[dict[str, tuple[str | None, str]]] = {
    "GetQueueStatistics": (None, "RouterQueueStatistics"),
    "GetInQueuePosition": (None, "RouterJobPositionDetails"),
    "ReclassifyJob": ("ReclassifyJobOptions", "EmptyResult"),
    "CancelJob": ("CancelJobOptions", "EmptyResult"),
    "CompleteJob": ("CompleteJobOptions", "EmptyResult"),
    "CloseJob": ("CloseJobOptions", "EmptyResult"),
    "UnassignJob": ("UnassignJobOptions", "UnassignJobResult"),
    "AcceptJobOffer": (None, "AcceptJobOfferResult"),
    "DeclineJobOffer": ("DeclineJobOfferOptions", "EmptyResult"),
    "ExplainJob": (None, "JobExplanation"),
    "GetLive": (None, "LivePicture"),
    "GetRights": (None, "CallerRights"),
    "GetJobTimeline": (None, "Timeline"),
    "GetWorkerTimeline": (None, "Timeline"),
    "ListChanges": (None, "Changes"),
    "ListHistory": (None, "Timeline"),
    "GetQueueReport": (None, "Report"),
    "GetWorkerReport": (None, "Report"),
    "GetShadowReport": (None, "Report"),
}
_EVERYWHERE: Final = (400, 401, 403, 429, 500, 503)
#: Refusals that only some operations have, beside those of their method.
_CONFLICTS: Final = frozenset({"UpsertJob", "DeleteJob", "DeleteQueue", "DeleteWorker", "GetInQueuePosition"})
_ERRORS: Final = {
    400: "The request is not acceptable; `details` name every invalid field.",
    401: "No credentials, or credentials that do not hold.",
    403: "The caller's rights do not reach this; `x-rights` of the operation tells which do.",
    404: "No such resource or route.",
    405: "The route does not have this method; `Allow` names those it has.",
    409: "The resource is in a state that does not allow this.",
    412: "If-Match, If-None-Match or If-Unmodified-Since does not hold. Nothing was written.",
    413: "The body, or the resource that it makes, is too large. Nothing was written.",
    415: "The body's content type is not accepted.",
    429: "Too many requests.",
    500: "The router failed; `x-ms-request-id` finds out why.",
    503: "The router or its storage is busy. Trying again is safe.",
}
_QUERY: Final[dict[str, Document]] = {
    "maxpagesize": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE},
    "continuationToken": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    "status": {"type": "string", "enum": [*JobStatus, "active", "all"], "default": "all"},
    "state": {"type": "string", "enum": [*WorkerState, "all"], "default": "all"},
    "queueId": _ID,
    "channelId": _ID,
    "classificationPolicyId": _ID,
    "scheduledBefore": {"type": "string", "format": "date-time"},
    "scheduledAfter": {"type": "string", "format": "date-time"},
    "hasCapacity": {"type": "boolean", "default": False},
    "since": {"type": "string", "format": "date-time"},
    "at": {"type": "string", "format": "date-time"},
    "from": {"type": "string", "format": "date-time"},
    "to": {"type": "string", "format": "date-time"},
    "kind": {"type": "string", "enum": ["ClassificationPolicy", "DistributionPolicy", "ExceptionPolicy", "Queue"]},
    "id": _ID,
    "grain": {"type": "string", "enum": ["15m", "1h", "1d"], "default": "1h"},
    "tz": {"type": "string", "default": "UTC"},
    "format": {"type": "string", "enum": ["json", "csv"], "default": "json"},
    "workerId": _ID,
}
_HEADERS: Final[dict[str, Document]] = {
    "ETag": {
        "description": "The resource's `etag`, quoted.",
        "schema": {"type": "string", "pattern": '^(W/)?"[^"]+"$'},
    },
    "Last-Modified": {"description": "When the resource last changed.", "schema": {"type": "string"}},
    "RequestId": {"description": "Finds this request in logs and traces.", "schema": {"type": "string"}},
    "ErrorCode": {"description": "The code in the body.", "schema": {"type": "string"}},
    "SupportedVersions": {"description": "The api-versions served.", "schema": {"type": "string"}},
}


@lru_cache(maxsize=1)
def openapi_document() -> Document:
    """The whole document. It is built once and shared: callers must not change it."""
    paths: dict[str, Document] = {}
    for operation in OPERATIONS:
        paths.setdefault(f"/{operation.route}", {})[operation.method.lower()] = _operation(operation)
    paths["/health"] = {"get": _health()}
    paths["/openapi.json"] = {"get": _own()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Job Router",
            "version": GA,
            "description": "A self-hosted, drop-in replacement for Azure Communication Services Job Router. "
            "Property names in requests and enum values in queries match without regard to case. `x-rights` of an "
            "operation tells how far each right reaches: `all`, the caller's `own` worker and what it holds, or "
            "`none`. An access key is `Admin`, one that only reads is `Read`; a role of a token is `Router.` and the "
            "right.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"accessKey": []}, {"entraId": []}],
        "tags": [{"name": kind} for kind in (*RESOURCES, "Console")],
        "paths": paths,
        "components": {
            "schemas": component_schemas(),
            "parameters": _parameters(),
            "headers": _header_components(),
            "responses": {str(status): _error(status) for status in _ERRORS},
            "securitySchemes": {
                "accessKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "HMAC-SHA256 with an access key, as the Azure Communication Services clients "
                    "sign: with the headers `x-ms-date` (or `date`), `host` and `x-ms-content-sha256`.",
                },
                "entraId": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    }


def _operation(operation: Operation) -> Document:
    parameters = [_named("ApiVersion"), _named("ClientRequestId")]
    parameters += [_path_parameter(name) for name in re.findall(r"{(\w+)}", operation.route)]
    parameters += [_query_parameter(name) for name in operation.query]
    described: Document = {
        "operationId": operation.name,
        "tags": [operation.resource],
        "summary": _summary(operation),
        "parameters": parameters,
        "x-rights": {str(right): str(far) for right, far in reaches(operation.name).items()},
    }
    body = _request_body(operation)
    if operation.method == "PATCH":
        parameters += [_named("IfMatch"), _named("IfNoneMatch"), _named("IfUnmodifiedSince")]
    if body is not None:
        described["requestBody"] = body
    described["responses"] = {**_successes(operation), **_refusals(operation)}
    if "format" in operation.query:
        described["responses"]["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}
    return described


def _summary(operation: Operation) -> str:
    if operation.name in _SAYS:
        return _SAYS[operation.name]
    if operation.is_list:
        return f"Lists resources: {_NOUNS[operation.resource].partition(' ')[2]}, a page at a time."
    verb = next(verb for verb in _SUMMARIES if operation.name.startswith(verb))
    return _SUMMARIES[verb].format(a=_NOUNS[operation.resource])


def _request_body(operation: Operation) -> Document | None:
    if operation.method == "PATCH":
        schema = {"schema": ref(update_name(operation.resource))}
        return {"required": True, "content": dict.fromkeys(PATCH_TYPES, schema)}
    options = _OTHERS[operation.name][0] if operation.name in _OTHERS else None
    if options is None:
        return None
    return {"required": False, "content": {"application/json": {"schema": ref(options)}}}


def _successes(operation: Operation) -> Document:
    if operation.method == "DELETE":
        return {"204": {"description": "Deleted, or did not exist.", "headers": _headers("RequestId")}}
    if operation.name == "GetLive":
        known = {"description": "As `If-None-Match` names it.", "headers": _headers("RequestId", "ETag")}
        return {"200": _answer("Now.", _OTHERS[operation.name][1], "ETag"), "304": known}
    if operation.name in _OTHERS:
        return {"200": _answer("Done.", _OTHERS[operation.name][1])}
    resource = RESOURCES[operation.resource][0]
    if operation.is_list:
        return {"200": _answer("A page.", f"Paged{resource}")}
    one = _answer("The resource.", resource, "ETag", "Last-Modified")
    if operation.method == "PATCH":
        return {"200": one, "201": {**one, "description": "The resource, which is new."}}
    return {"200": one}


def _refusals(operation: Operation) -> Document:
    statuses = set(_EVERYWHERE)
    if "{" in operation.route:
        # Of the route too: a decoded `/` in an id makes another route of it.
        statuses |= {404, 405}
    if operation.method in ("PATCH", "POST"):
        statuses |= {413, 415}
    if operation.method == "PATCH":
        statuses.add(412)
    if operation.method == "POST" or operation.name in _CONFLICTS:
        statuses.add(409)
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}


def _answer(description: str, schema: str, *headers: str) -> Document:
    return {
        "description": description,
        "headers": _headers("RequestId", "SupportedVersions", *headers),
        "content": {"application/json": {"schema": ref(schema)}},
    }


def _error(status: int) -> Document:
    headers = _headers("RequestId", "SupportedVersions", "ErrorCode")
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}, "required": True}
    if status == 405:
        headers["Allow"] = {"schema": {"type": "string"}, "required": True}
    if status in (429, 503):
        headers["Retry-After"] = {"schema": {"type": "string"}}
    return {
        "description": _ERRORS[status],
        "headers": headers,
        "content": {"application/json": {"schema": ref("ErrorResponse")}},
    }


_WIRE_HEADERS: Final = {
    "RequestId": "x-ms-request-id",
    "ErrorCode": "x-ms-error-code",
    "SupportedVersions": "api-supported-versions",
}


def _headers(*names: str) -> Document:
    return {_WIRE_HEADERS.get(name, name): {"$ref": f"#/components/headers/{name}"} for name in names}


def _header_components() -> Document:
    return {name: {**header, "required": True} for name, header in _HEADERS.items()}


def _parameters() -> dict[str, Document]:
    text: Document = {"type": "string"}
    return {
        "ApiVersion": {
            "name": "api-version",
            "in": "query",
            "required": True,
            "schema": {"type": "string", "enum": list(API_VERSIONS)},
        },
        "ClientRequestId": {
            "name": "x-ms-client-request-id",
            "in": "header",
            "description": "Comes back in the answer.",
            "schema": {"type": "string", "maxLength": 256, "pattern": "^[!-~]+$"},
        },
        "IfMatch": {
            "name": "If-Match",
            "in": "header",
            "description": "Only if the resource has one of these ETags, or (`*`) exists.",
            "schema": text,
        },
        "IfNoneMatch": {
            "name": "If-None-Match",
            "in": "header",
            "description": "`*`: only if the resource does not exist.",
            "schema": text,
        },
        "IfUnmodifiedSince": {
            "name": "If-Unmodified-Since",
            "in": "header",
            "description": "Only if the resource has not changed since. An HTTP date.",
            "schema": text,
        },
    }


def _named(name: str) -> Document:
    return {"$ref": f"#/components/parameters/{name}"}


def _path_parameter(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": _ID}


def _query_parameter(name: str) -> Document:
    return {"name": name, "in": "query", "schema": _QUERY[name]}


def _health() -> Document:
    content = {"application/json": {"schema": ref("Health")}}
    return {
        "operationId": "Health",
        "summary": "Whether the router is ready. The only operation without credentials.",
        "security": [],
        "responses": {
            "200": {"description": "The router is ready.", "content": content},
            "503": {"description": "The router is not ready; `message` says why.", "content": content},
        },
    }


def _own() -> Document:
    statuses = (401, 403, 429, 500, 503)
    return {
        "operationId": "OpenApi",
        "summary": "This document.",
        "responses": {
            "200": {
                "description": "This document.",
                "content": {"application/json": {"schema": {"type": "object", "required": ["openapi"]}}},
            },
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses},
        },
    }


def main() -> None:
    sys.stdout.write(to_json(openapi_document(), indent=2).decode() + "\n")


if __name__ == "__main__":
    main()
