"""Validation: pydantic's errors told in the wire's terms, every invalid field in one 400."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError, to_json

from router.errors import BadRequest, ErrorDetail
from router.models.policies import ExceptionRule, QueueLengthExceptionTrigger, check_rules
from router.models.rules import SECRET_FIELDS
from router.models.types import check_labels
from router.models.workers import RouterChannel, check_channels
from router.wire.invalid import Document, InvalidDocument
from router.wire.names import ListShape, ObjectShape, Shape, shape_of

#: Of one answer: a body of 1 MiB could name a hundred thousand.
MAX_DETAILS: Final = 100
_MAX_SHOWN: Final = 80

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], document: Document, *, also: Sequence[ErrorDetail] = ()) -> M:
    """The document as a model. Raises one InvalidDocument that names every invalid field, those in `also` included."""
    try:
        valid = model.model_validate(document)
        details, more = list(also), 0
    except ValidationError as error:
        details, more = _details(error, shape_of(model), document, also)
    if details:
        # Not raised within the handler: an error that holds pydantic's holds the frames of our checks, and these it.
        raise InvalidDocument(refusal(details, more), document)
    return valid


def _details(
    error: ValidationError, shape: ObjectShape, document: Document, also: Sequence[ErrorDetail]
) -> tuple[list[ErrorDetail], int]:
    """What is wrong, and of how many fields more that is not told."""
    errors = error.errors(include_url=False)
    found = [_detail(one, shape) for one in errors[:MAX_DETAILS]]
    named = {one.target for one in found}
    others = [one for one in (*also, *_of_collections(document, "")) if one.target not in named]
    if len(errors) > len(found):
        return found, len(errors) - len(found) + len(others)
    return [*found, *others], 0


def refusal(details: Sequence[ErrorDetail], more: int = 0) -> BadRequest:
    """The 400 for these invalid fields, and so many more that are not told one by one."""
    shown = list(details[:MAX_DETAILS])
    count = len(details) + more
    if count > len(shown):
        shown.append(ErrorDetail("InvalidValue", f"... and {count - len(shown)} more."))
    message = details[0].message if count == 1 else f"{count} fields are invalid; see details."
    return BadRequest(message, target=details[0].target if len(details) == 1 else None, details=shown)


def shown(value: Any) -> str:
    """A value as JSON, cut to a bounded length."""
    if isinstance(value, str):  # of a query, it may have half of a surrogate pair, which no JSON can hold
        value = value[: _MAX_SHOWN + 1].encode("utf-8", "replace").decode()
    text = to_json(value, fallback=str, inf_nan_mode="constants").decode("utf-8", "replace")
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def wire_path(location: Sequence[int | str], shape: Shape) -> str:
    """`mode.scoringRule.kind`, `requestedWorkerSelectors[0].value`: where an error is, without union tags."""
    path = ""
    skip = isinstance(shape, ObjectShape) and bool(shape.kinds)
    for step in location:
        if skip:  # the tag that pydantic puts after a union
            skip = False
            continue
        if isinstance(step, int):
            path += f"[{step}]"
            shape = shape.item if isinstance(shape, ListShape) else None
        elif step == "[key]":  # pydantic's mark of an invalid key
            continue
        else:
            if isinstance(shape, ObjectShape) and step not in shape.fields:
                step = to_camel(step)  # pydantic names a wrong default by its Python name
            plain = len(step) <= _MAX_SHOWN and step.replace("_", "a").replace("-", "a").isalnum()
            path += (f".{step}" if path else step) if plain else f"[{shown(step)}]"
            shape = shape.inner(step) if isinstance(shape, ObjectShape) else None
        skip = isinstance(shape, ObjectShape) and bool(shape.kinds)
    return path


def _detail(error: ErrorDetails, shape: ObjectShape) -> ErrorDetail:
    location, context = error["loc"], error.get("ctx", {})
    target = wire_path(location, shape)
    kind = error["type"]
    if kind == "union_tag_not_found":
        target = f"{target}.kind"
        return ErrorDetail("MissingField", f"'{target}' is required; accepted are {_kinds(location, shape)}.", target)
    if kind == "union_tag_invalid":
        target = f"{target}.kind"
        accepted = context.get("expected_tags", "")
        return ErrorDetail(
            "InvalidValue",
            f"'{target}' is not supported: {shown(_kind_of(error.get('input')))}. Accepted are {accepted}.",
            target,
        )
    if kind == "missing":
        return ErrorDetail("MissingField", f"'{target}' is required.", target)
    if kind not in _SAYINGS:
        context = {"error": f"is invalid: {error['msg']}"}
    secret = bool(location) and location[-1] in _NEVER_SHOWN
    return _told(kind, context, error.get("input"), target, secret=secret)


def _told(kind: str, context: Mapping[str, Any], value: Any, target: str, *, secret: bool = False) -> ErrorDetail:
    """What was wrong, with which value, and what is accepted."""
    reason = _SAYINGS.get(kind, _SAYINGS["value_error"])(context)
    if secret:
        given = ""
    elif kind in _SIZES and isinstance(value, (str, list, dict)):
        given = f", not {len(value)}"
    else:
        given = f", not {shown(value)}"
    return ErrorDetail("InvalidValue", f"'{target}' {reason}{given}.", target)


def _of_collections(value: Any, path: str) -> Iterator[ErrorDetail]:
    """What is wrong with whole collections. Pydantic does not look at one of which an item fails."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _of_collections(item, f"{path}[{number}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            target = f"{path}.{name}" if path else name
            if name in _COLLECTIONS and isinstance(item, (dict, list)):
                try:
                    _COLLECTIONS[name](item)
                except PydanticCustomError as error:
                    yield _told(error.type, error.context or {}, item, target)
                except ValueError as error:
                    yield _told("value_error", {"error": error}, item, target)
            if name not in _DATA:
                yield from _of_collections(item, target)


def _check_labels(given: Any) -> None:
    if isinstance(given, dict):
        check_labels(given)


def _check_channels(given: Any) -> None:
    ids = _texts(given, "channelId")
    check_channels([RouterChannel.model_construct(channel_id=id, capacity_cost_per_job=1) for id in ids])


def _check_rules(given: Any) -> None:
    trigger = QueueLengthExceptionTrigger(kind="queueLength", threshold=1)
    check_rules([ExceptionRule.model_construct(id=id, trigger=trigger, actions=[]) for id in _texts(given, "id")])


def _texts(given: Any, name: str) -> Iterator[str]:
    """The texts that stand under this name in the objects of an array."""
    for item in given if isinstance(given, list) else ():
        text = item.get(name) if isinstance(item, dict) else None
        if isinstance(text, str):
            yield text


#: The checks of whole collections, by their names on the wire: no two models use one for different things.
_COLLECTIONS: Final[dict[str, Callable[[Any], None]]] = {
    "labels": _check_labels,
    "tags": _check_labels,
    "labelsToUpsert": _check_labels,
    "channels": _check_channels,
    "exceptionRules": _check_rules,
}
#: What holds the client's own names.
_DATA: Final = frozenset({"labels", "tags", "labelsToUpsert", "value"})


def _kind_of(given: Any) -> Any:
    """As the client wrote it: pydantic tells a kind that is no string as Python does."""
    return given.get("kind") if isinstance(given, dict) else given


def _kinds(location: Sequence[int | str], shape: Shape) -> str:
    """The `kind` values of the union at this place."""
    tag = False
    for step in location:
        if tag:
            tag = False
            continue
        if isinstance(shape, ListShape):
            shape = shape.item
        elif isinstance(shape, ObjectShape):
            shape = shape.inner(str(step))
        tag = isinstance(shape, ObjectShape) and bool(shape.kinds)
    return ", ".join(f"'{kind}'" for kind in shape.kinds) if isinstance(shape, ObjectShape) else "other kinds"


def _always(text: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda _: text


#: What was wrong, by pydantic's type of error.
_SAYINGS: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "int_type": _always("must be an integer"),
    "int_from_float": _always("must be an integer"),
    "int_parsing": _always("must be an integer"),
    "int_parsing_size": _always("must be an integer in range"),
    "float_type": _always("must be a number"),
    "float_parsing": _always("must be a number"),
    "finite_number": _always("must be a finite number"),
    "string_type": _always("must be a string"),
    "bool_type": _always("must be true or false"),
    "bool_parsing": _always("must be true or false"),
    "list_type": _always("must be an array"),
    "dict_type": _always("must be an object"),
    "model_type": _always("must be an object"),
    "model_attributes_type": _always("must be an object"),
    "literal_error": lambda context: f"must be {context['expected']}",
    "enum": lambda context: f"must be {context['expected']}",
    "greater_than": lambda context: f"must be greater than {context['gt']:g}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "less_than": lambda context: f"must be less than {context['lt']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:.15g}",
    "string_too_short": lambda context: f"must have at least {context['min_length']} characters",
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "too_short": lambda context: f"must have at least {context['min_length']} entries",
    "too_long": lambda context: f"must have at most {context['max_length']} entries",
    "value_error": lambda context: str(context.get("error", "is invalid")),
}
#: Where the size is wrong, the value itself says nothing.
_SIZES: Final = frozenset({"string_too_long", "too_long", "too_short"})
#: Secrets, and what holds them: a client may have put the secret itself there.
_NEVER_SHOWN: Final = SECRET_FIELDS | {"credential", "clientCredential"}
