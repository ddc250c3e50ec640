"""JSON schemas of requests and answers, made from the pydantic models that validate and render them.

Each model has up to three: the answer's under its own name, in which what is always there is required, and two of
requests, without read-only fields. With `Update` behind its name it is merged into what is there: nothing is required,
and null removes. With `Item` it stands in an array, or in an object that does: an array replaces, so such an object is
whole, and null only says "not set"."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from router.models import jobs, policies, queues, results, workers

Schema = dict[str, Any]

REF: Final = "#/components/schemas/"
#: Resource kind to the name of its answer and the model of its request.
RESOURCES: Final[dict[str, tuple[str, type[BaseModel]]]] = {
    "ClassificationPolicy": ("ClassificationPolicy", policies.ClassificationPolicy),
    "DistributionPolicy": ("DistributionPolicy", policies.DistributionPolicy),
    "ExceptionPolicy": ("ExceptionPolicy", policies.ExceptionPolicy),
    "Queue": ("RouterQueue", queues.RouterQueue),
    "Job": ("RouterJob", jobs.RouterJobInput),
    "Worker": ("RouterWorker", workers.RouterWorkerInput),
}
_ANSWERS: Final[tuple[type[BaseModel], ...]] = (
    policies.ClassificationPolicy,
    policies.DistributionPolicy,
    policies.ExceptionPolicy,
    queues.RouterQueue,
    jobs.RouterJob,
    workers.RouterWorker,
    results.AcceptJobOfferResult,
    results.UnassignJobResult,
    results.RouterJobPositionDetails,
    results.RouterQueueStatistics,
)
_OPTIONS: Final[tuple[type[BaseModel], ...]] = (
    jobs.CancelJobOptions,
    jobs.CompleteJobOptions,
    jobs.CloseJobOptions,
    jobs.UnassignJobOptions,
    jobs.ReclassifyJobOptions,
    workers.DeclineJobOfferOptions,
)
#: Fields that clients see and cannot write (docs/behaviour.md, "Models"), beyond `id` and `etag`.
_READ_ONLY: Final[dict[str, tuple[str, ...]]] = {
    "RouterJob": ("status", "enqueuedAt", "attachedWorkerSelectors", "assignments", "scheduledAt"),
    "RouterJobAssignment": ("assignmentId",),
    "RouterJobOffer": ("offerId",),
    "RouterWorker": ("state", "offers", "assignedJobs", "loadRatio"),
    "RouterWorkerSelector": ("status", "expiresAt"),
    "PolicyWorkerSelector": ("status",),
}
#: Where the API has another name than the code.
_WIRE_NAMES: Final = {
    "JobStatus": "RouterJobStatus",
    "SelectorStatus": "RouterWorkerSelectorStatus",
    "WorkerState": "RouterWorkerState",
}
_DESCRIPTIONS: Final = {
    "RouterJob": "A unit of work, waiting for a worker or with one.",
    "RouterWorker": "Somebody or something that takes jobs, up to a capacity.",
    "RouterWorkerSelector": "A condition on the labels of workers.",
    "PolicyWorkerSelector": "A condition on the labels of workers, for jobs to come.",
}
_REQUIRED_ON_CREATION: Final = {
    "RouterJobInput": "`channelId`, and `queueId` or `classificationPolicyId`",
    "RouterWorkerInput": "`capacity`",
    "RouterQueue": "`distributionPolicyId`",
    "DistributionPolicy": "`mode`",
}
#: Limits on what is accepted. Answers are not promised to keep them: the router appends notes and selectors.
_LIMITS: Final = (
    *("maxLength", "minLength", "maxItems", "minItems", "maximum", "minimum", "exclusiveMinimum"),
    *("maxProperties", "propertyNames"),
)
_TEXT: Final[Schema] = {"type": "string"}
#: The roles of an object in a request, as its schema's name ends.
_MERGED: Final = "Update"
_ITEM: Final = "Item"


def component_schemas() -> dict[str, Schema]:
    """Every schema of `components/schemas`."""
    return {**_answers(), **_requests(), **_errors()}


def ref(name: str) -> Schema:
    return {"$ref": f"{REF}{name}"}


def update_name(kind: str) -> str:
    """The schema of what a PATCH of this kind of resource takes."""
    return f"{RESOURCES[kind][0]}{_MERGED}"


def _answers() -> dict[str, Schema]:
    _, generated = models_json_schema(
        [(model, "serialization") for model in _ANSWERS], by_alias=True, ref_template=f"{REF}{{model}}"
    )
    definitions: dict[str, Schema] = generated["$defs"]
    schemas = {
        _WIRE_NAMES.get(name, name): _renamed(_answer(name, schema), _WIRE_NAMES)
        for name, schema in definitions.items()
    }
    for name, _ in RESOURCES.values():
        schema = schemas[name]
        own = {"etag": {**_TEXT, "readOnly": True}, "id": {**_TEXT, "readOnly": True}}
        schema["properties"] = {**own, **{key: value for key, value in schema["properties"].items() if key != "id"}}
        schema["required"] = ["etag", "id", *(key for key in schema["required"] if key != "id")]
        schemas[f"Paged{name}"] = {
            "type": "object",
            "description": "One page. Without `nextLink` it is the last.",
            "properties": {"value": {"type": "array", "items": ref(name)}, "nextLink": _TEXT},
            "required": ["value"],
        }
    return schemas


def _answer(name: str, schema: Schema) -> Schema:
    """In answers unset scalars are left out, and what has a default is always there."""
    if "properties" not in schema:
        enumeration: Schema = _plain(schema, drop=())
        return enumeration
    read_only = _READ_ONLY.get(name, ())
    properties, required = {}, []
    for key, value in schema["properties"].items():
        if "default" not in value or value["default"] is not None:
            required.append(key)
        plain = _plain(value, drop=("default", *_LIMITS))
        properties[key] = {**plain, "readOnly": True} if key in read_only else plain
    answer: Schema = {"type": "object", "properties": properties, "required": required}
    description = _DESCRIPTIONS.get(name) or schema.get("description")
    return {"description": description, **answer} if description else answer


def _requests() -> dict[str, Schema]:
    _, generated = models_json_schema(
        [(model, "validation") for _, model in RESOURCES.values()], by_alias=True, ref_template=f"{REF}{{model}}"
    )
    _, options = models_json_schema(
        [(model, "validation") for model in _OPTIONS], by_alias=True, ref_template=f"{REF}{{model}}"
    )
    definitions: dict[str, Schema] = generated["$defs"]
    tops = {model.__name__: update_name(kind) for kind, (_, model) in RESOURCES.items()}
    named = {name for name, schema in definitions.items() if "properties" in schema}
    schemas: dict[str, Schema] = {}

    def add(name: str, kind: str) -> str:
        """Adds the schema of a model in this role, and those that it refers to; its name."""
        title = tops.get(name, f"{name}{kind}")
        if title not in schemas:
            schemas[title] = {}  # a place, in this order
            schemas[title].update(_request(name, definitions[name], kind, top=name in tops))
            schemas[title]["properties"] = {
                key: _in_role(value, kind, named, add) for key, value in schemas[title]["properties"].items()
            }
        return title

    for name in tops:
        add(name, _MERGED)
    return {**schemas, **{name: _request(name, schema, _MERGED, top=True) for name, schema in options["$defs"].items()}}


def _request(name: str, schema: Schema, kind: str, *, top: bool) -> Schema:
    """What clients send. At the top null may stand even for what no resource is without: whether one is left is for
    the whole to say."""
    fields = {key: value for key, value in schema.get("properties", {}).items() if not value.get("readOnly")}
    needed = [key for key in fields if key == "kind" or key in schema.get("required", ())]
    properties = {key: _plain(value, drop=()) for key, value in fields.items()}
    properties = {
        key: value if key in needed and not top else _nullable(value, entries=kind == _MERGED)
        for key, value in properties.items()
    }
    request: Schema = {"type": "object", "properties": properties}
    if needed and kind == _ITEM:
        request["required"] = needed
    if name in _REQUIRED_ON_CREATION:
        request["description"] = f"A merge patch. Required on creation: {_REQUIRED_ON_CREATION[name]}."
    return request


def _in_role(value: Any, kind: str, named: Set[str], add: Callable[[str, str], str]) -> Any:
    """A schema with references to what stands in the same role; in an array everything is an item. Objects that are
    merged need not say their kind again, so nothing tells them apart for sure."""
    if isinstance(value, list):
        return [_in_role(item, kind, named, add) for item in value]
    if isinstance(value, dict):
        if kind == _MERGED and "discriminator" in value:
            rest = {key: item for key, item in value.items() if key not in ("discriminator", "oneOf")}
            value = {"anyOf": value["oneOf"], **rest}
        return {key: _in_role(item, _ITEM if key == "items" else kind, named, add) for key, item in value.items()}
    if isinstance(value, str) and value.startswith(REF) and value.removeprefix(REF) in named:
        return f"{REF}{add(value.removeprefix(REF), kind)}"
    return value


def _plain(value: Any, drop: tuple[str, ...]) -> Any:
    """A schema without pydantic's titles, without `drop`, and without null where that only means "not set"."""
    if isinstance(value, list):
        return [_plain(item, drop) for item in value]
    if not isinstance(value, dict):
        return value
    choices = [choice for choice in value.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        rest = {key: item for key, item in value.items() if key != "anyOf"}
        value = {**choices[0], **rest}
    elif choices:
        value = {**value, "anyOf": choices}
    kept = {key: item for key, item in value.items() if key != "title" and key not in drop}
    if kept.get("default", 0) is None:
        del kept["default"]
    # The mapping of a discriminator has names and references only.
    return {key: item if key == "discriminator" else _plain(item, drop) for key, item in kept.items()}


def _nullable(schema: Schema, *, entries: bool) -> Schema:
    """As a merge patch: null removes the whole, and in labels and tags (`entries`) a single entry."""
    if entries and isinstance(schema.get("additionalProperties"), dict):
        schema = {**schema, "additionalProperties": _nullable(schema["additionalProperties"], entries=True)}
    if isinstance(schema.get("type"), str) and "const" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """References to schemas that requests and answers do not share, under the request's names."""
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, str) and value.startswith(REF):
        name = value.removeprefix(REF)
        return f"{REF}{names.get(name, name)}"
    return value


def _errors() -> dict[str, Schema]:
    detail = {"code": _TEXT, "message": _TEXT, "target": _TEXT}
    return {
        "Error": {
            "type": "object",
            "properties": {
                **detail,
                "details": {"type": "array", "items": ref("ErrorDetail")},
                "innererror": {"type": "object"},
            },
            "required": ["code", "message", "target"],
        },
        "ErrorDetail": {"type": "object", "properties": detail, "required": ["code", "message"]},
        "ErrorResponse": {
            "type": "object",
            "properties": {"error": ref("Error"), "communicationError": ref("Error")},
            "required": ["error", "communicationError"],
        },
        # Actions without a result of their own.
        "EmptyResult": {"type": "object", "maxProperties": 0},
        "JobExplanation": {"type": "object", "description": "Why a job is where it is."},
        "LivePicture": {"type": "object", "description": "Queues, workers and waiting jobs at one time."},
        "CallerRights": {"type": "object", "description": "What the caller may do, and by what it signed in."},
        "Timeline": {"type": "object", "description": "Committed changes in `value`, oldest first, and `nextLink`."},
        "Changes": {"type": "object", "description": "Changes of settings in `value`, oldest first, and `nextLink`."},
        "Report": {"type": "object", "description": "Rows in `value`, and `nextLink`."},
        "Health": {
            "type": "object",
            "required": ["status", "message", "version"],
            "properties": {
                "status": {"type": "string", "enum": ["ready", "unavailable"]},
                "message": {"type": "string"},
                "version": {"type": "string"},
            },
        },
    }
