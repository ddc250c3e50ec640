"""Request bodies: size, content type and JSON, before anything is known of their meaning."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import BaseModel
from pydantic_core import from_json

from router.errors import BadRequest, RouterError, TooLarge
from router.wire.names import canonicalise
from router.wire.validate import validate

MAX_BODY_BYTES: Final = 1024 * 1024
#: Of arrays and objects in one another. Stored documents wrap a body and must stay readable too.
MAX_DEPTH: Final = 100
PATCH_TYPES: Final = ("application/merge-patch+json", "application/json")
_CHARSETS: Final = ("", "utf-8", "utf8", "us-ascii")
#: All digits become one, so that numbers which may not fit are found as fast as a text is.
_DIGITS: Final = bytes.maketrans(b"123456789E", b"000000000e")
_HUGE: Final = (b"0e000", b"0e+000", b"0" * 300)

M = TypeVar("M", bound=BaseModel)


class UnsupportedMediaType(RouterError):
    """415: the body's content type is none that this operation takes."""

    def __init__(self, content_type: str | None) -> None:
        given = f"'{content_type[:100]}'" if content_type else "missing"
        super().__init__(
            "UnsupportedMediaType",
            f"The content type is {given}. Accepted are {' and '.join(PATCH_TYPES)} in UTF-8.",
            415,
            target="Content-Type",
        )


def check_encoding(body: bytes, encoding: str | None) -> None:
    """A body comes as it is: no content coding is undone here, so 415 (RFC 9110 section 15.5.16)."""
    if body and encoding and encoding.strip().lower() != "identity":
        raise RouterError(
            "UnsupportedMediaType",
            f"The content coding is '{encoding[:100]}'. Bodies are accepted without one.",
            415,
            target="Content-Encoding",
            headers={"Accept-Encoding": "identity"},
        )


def parse_json(body: bytes) -> Any:
    """The value of a JSON text. NaN and infinite numbers, lone surrogates and very deep nesting are refused."""
    try:
        value = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise _invalid(f"The body is not valid JSON: {error}.") from None
    digits = body.translate(_DIGITS)
    if any(one in digits for one in _HUGE) or body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check(value, MAX_DEPTH)
    return value


def parse_patch(body: bytes, content_type: str | None) -> dict[str, Any]:
    """The object that a PATCH carries."""
    _check_size(body)
    _check_type(content_type)
    patch = parse_json(body)
    if not isinstance(patch, dict):
        raise BadRequest(f"The body must be a JSON object, not {_name(patch)}.")
    return patch


def parse_options(body: bytes, content_type: str | None, model: type[M]) -> M:
    """The options of an action. No body, an empty one or `null` means no options, whatever the content type."""
    _check_size(body)
    if not body or body.isspace():
        return model()
    _check_type(content_type)
    options = parse_json(body)
    if options is None:
        return model()
    if not isinstance(options, dict):
        raise BadRequest(f"The body must be a JSON object, not {_name(options)}.")
    return validate(model, canonicalise(options, model))


def _check_size(body: bytes) -> None:
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"The body has {len(body)} bytes; at most {MAX_BODY_BYTES} are accepted.")


def _check_type(content_type: str | None) -> None:
    media_type, _, parameters = (content_type or "").partition(";")
    if media_type.strip().lower() not in PATCH_TYPES or _charset(parameters) not in _CHARSETS:
        raise UnsupportedMediaType(content_type)


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def _check(value: Any, depth: int) -> None:
    if isinstance(value, (dict, list)):
        if depth == 0:
            raise _invalid(f"The body has arrays or objects more than {MAX_DEPTH} deep in one another.")
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth - 1)
    elif isinstance(value, float):
        if value - value != 0:
            raise _invalid("The body has a number out of range.")
    elif isinstance(value, int):
        try:
            float(value)
        except OverflowError:
            raise _invalid("The body has a number out of range.") from None


def _invalid(message: str) -> BadRequest:
    return BadRequest(message, code="InvalidJson")


def _name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "a number"
