"""Plain stand-ins for the messages between the Functions host and a language worker.

On the platform these are protobuf messages (azure-functions-language-worker-protobuf, FunctionRpc.proto), sent over
gRPC. Microsoft's library for Python only reads their fields and calls their classes, so in one process they need be no
more than that. A name that is missing here shows as an AttributeError in its first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import SimpleNamespace
from typing import Any, Final


class Message:
    """Any message without a choice of fields: its fields, by name."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None  # a field that was not set


class StatusResult(Message):
    Failure: Final = 0
    Success: Final = 1
    Cancelled: Final = 2


class TypedData:
    """One value of one kind: `string`, `json`, `bytes`, `http`, ..."""

    def __init__(self, **field: Any) -> None:
        self.kind: str | None = next(iter(field), None)
        self.value: Any = next(iter(field.values()), None)

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 -- protobuf's name
        return self.kind

    def __getattr__(self, name: str) -> Any:
        if name != self.__dict__.get("kind"):
            raise AttributeError(name)
        return self.value


class ParameterBinding:
    """A value for a parameter, by name."""

    def __init__(self, *, name: str, data: TypedData) -> None:
        self.name, self.data = name, data

    def WhichOneof(self, group: str) -> str:  # noqa: N802 -- protobuf's name
        return "data"


class BindingInfo(Message):
    # `in`, which is a word of Python, is 0.
    out: Final = 1
    inout: Final = 2
    undefined: Final = 0


class RpcHttp:
    """A request or an answer."""

    def __init__(
        self,
        *,
        body: TypedData | None,
        headers: Mapping[str, str],
        method: str = "",
        url: str = "",
        query: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        status_code: str = "",
        cookies: list[Message] | None = None,
        enable_content_negotiation: bool = False,
    ) -> None:
        self.method, self.url, self.headers = method, url, headers
        self.query, self.params = query or {}, params or {}
        self.body = body or TypedData()
        self.status_code, self.cookies = status_code, cookies or []


class _SameSite(IntEnum):
    none = 0  # `None` in the protocol, which is a word of Python
    Lax = 1
    Strict = 2
    ExplicitNone = 3


setattr(_SameSite, "None", _SameSite.none)


class RpcHttpCookie(Message):
    SameSite: Final = _SameSite


class Nullable(Message):
    """A value that may not be set."""


#: What the library is handed as its module of messages.
PROTOS: Final = SimpleNamespace(
    BindingInfo=BindingInfo,
    FunctionLoadResponse=Message,
    FunctionMetadataResponse=Message,
    InvocationResponse=Message,
    NullableBool=Nullable,
    NullableDouble=Nullable,
    NullableString=Nullable,
    NullableTimestamp=Nullable,
    ParameterBinding=ParameterBinding,
    RpcException=Message,
    RpcFunctionMetadata=Message,
    RpcHttp=RpcHttp,
    RpcHttpCookie=RpcHttpCookie,
    RpcRetryOptions=Message,
    StatusResult=StatusResult,
    Timestamp=Message,
    TypedData=TypedData,
    WorkerInitResponse=Message,
    WorkerMetadata=Message,
)
