"""A thin worker, for Pythons that Microsoft's library does not run on: the checks of the platform's worker, and the
converters of azure-functions between a binding's data and the Python types of its parameters."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import threading
import traceback
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from azure.functions import Context, FunctionRegister, meta

from local.host.index import HTTP_TRIGGER, HostedFunction, IndexingError, hosted_function
from local.host.worker import FunctionFailed, HttpAnswer, HttpCall, Invocations

NAME: Final = f"a thin loader for Python {sys.version_info.major}.{sys.version_info.minor}"


@dataclass(slots=True)
class TraceContext:
    """The W3C trace context that came with the trigger."""

    trace_parent: str = ""
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class RetryContext:
    retry_count: int = 0
    max_retry_count: int = 0
    exception: None = None


class InvocationContext(Context):
    """What the platform passes as `context`."""

    def __init__(self, name: str, directory: str, trace: TraceContext) -> None:
        self._name = name
        self._directory = directory
        self._trace = trace
        self._id = str(uuid.uuid4())
        self._local = threading.local()

    @property
    def invocation_id(self) -> str:
        return self._id

    @property
    def thread_local_storage(self) -> Any:
        return self._local

    @property
    def function_name(self) -> str:
        return self._name

    @property
    def function_directory(self) -> str:
        return self._directory

    @property
    def trace_context(self) -> Any:
        return self._trace

    @property
    def retry_context(self) -> Any:
        return RetryContext()


@dataclass(frozen=True, slots=True)
class _Callable:
    call: Callable[..., Any]
    is_async: bool
    wants_context: bool


class ThinWorker:
    def __init__(self, app_dir: Path, module: str) -> None:
        """Imports the app's module; the app object must be the only one at its top level. Raises IndexingError."""
        found = importlib.import_module(module)
        apps = [value for value in vars(found).values() if isinstance(value, FunctionRegister)]
        if len(apps) != 1:
            raise IndexingError(f"{module}.py has {len(apps)} function apps at its top level; exactly one is expected")
        self._directory = str(app_dir)
        self._callables: Final[dict[str, _Callable]] = {}
        self._functions: Final[list[HostedFunction]] = []
        try:
            listed = apps[0].get_functions()
        except ValueError as error:
            raise IndexingError(str(error)) from error
        for function in listed:
            name = str(function.get_function_name())
            hosted = hosted_function(name, name, function.get_raw_bindings())
            self._callables[name] = _check(hosted, function.get_user_function(), function.get_bindings())
            self._functions.append(hosted)
        if not self._functions:
            raise IndexingError(f"{module}.py registers no functions")
        self._invocations = Invocations()
        self._threads: ThreadPoolExecutor | None = None

    @property
    def name(self) -> str:
        return NAME

    @property
    def functions(self) -> Sequence[HostedFunction]:
        return self._functions

    async def call_http(self, function: HostedFunction, call: HttpCall) -> HttpAnswer:
        value = {
            "method": meta.Datum(call.method, "string"),
            "url": meta.Datum(call.url, "string"),
            "headers": _texts(call.headers),
            "query": _texts(call.query),
            "params": _texts(call.route),
            "body": meta.Datum(call.body, "bytes"),
        }
        trace = TraceContext(call.headers.get("traceparent", ""), call.headers.get("tracestate", ""))
        returned = await self._invocations.run(self._call(function, meta.Datum(value, "http"), trace))
        return _answer(returned)

    async def call_json(self, function: HostedFunction, text: str) -> None:
        await self._invocations.run(self._call(function, meta.Datum(text, "json"), TraceContext()))

    async def finish(self, seconds: float) -> None:
        await self._invocations.finish(seconds)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(self, function: HostedFunction, datum: meta.Datum, trace: TraceContext) -> Any:
        known = self._callables[function.name]
        try:
            value = converter(function.trigger).decode(datum, trigger_metadata={})
            arguments: dict[str, object] = {function.parameter: value}
            if known.wants_context:
                arguments["context"] = InvocationContext(function.name, self._directory, trace)
            returned = await self._run(known, arguments)
            if function.trigger != HTTP_TRIGGER:
                return None
            try:
                return converter("http").encode(returned, expected_type=None)
            except NotImplementedError:
                kind = type(returned).__name__
                raise TypeError(f"an HTTP function must return HttpResponse or str, not {kind}") from None
        except Exception as error:
            trail = "".join(traceback.format_exception(error))
            passes = any(getattr(error, name, False) for name in ("told", "passes"))
            raise FunctionFailed(f"{type(error).__name__}: {error}", trail, passes=passes) from None

    async def _run(self, known: _Callable, arguments: dict[str, object]) -> Any:
        if known.is_async:
            return await known.call(**arguments)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(thread_name_prefix="function")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: known.call(**arguments))


def converter(binding_type: str) -> Any:
    """The library's converter between a binding's data and the Python types of its parameters."""
    registry: Any = meta.get_binding_registry()  # type: ignore[no-untyped-call]  # the library has no annotation here
    return registry.get(binding_type)


def _texts(values: Mapping[str, str]) -> dict[str, meta.Datum]:
    return {name: meta.Datum(value, "string") for name, value in values.items()}


def _answer(datum: Any) -> HttpAnswer:
    if datum.type == "string":
        return HttpAnswer(200, {"content-type": "text/plain; charset=utf-8"}, (), datum.value.encode())
    value = datum.value
    return HttpAnswer(
        int(value["status_code"].value),
        {name: one.value for name, one in value["headers"].items()},
        [one.OutputString() for cookie in value["cookies"] or () for one in cookie.values()],
        value["body"].value,
    )


def _check(function: HostedFunction, call: Callable[..., Any], bindings: Sequence[Any]) -> _Callable:
    """The worker's rules for parameters and annotations."""
    name, parameter = function.name, function.parameter
    parameters = set(inspect.signature(call).parameters)
    bound = {binding.name for binding in bindings if binding.name != "$return"}
    wants_context = "context" in parameters and "context" not in bound
    if wants_context:
        parameters.discard("context")
    if parameters != bound:
        raise IndexingError(
            f"function {name}: its parameters {sorted(parameters)} are not its bindings {sorted(bound)}"
        )
    try:
        annotations = typing.get_type_hints(call)
    except NameError as error:
        raise IndexingError(f"function {name}: an annotation cannot be resolved: {error}") from error
    wanted = annotations.get(parameter)
    if wanted is not None and not converter(function.trigger).check_input_type_annotation(wanted):
        raise IndexingError(f"function {name}: {parameter}: {wanted} does not fit {function.trigger}")
    if any(binding.name == "$return" for binding in bindings):
        returned = annotations.get("return")
        if returned is not None and (
            not isinstance(returned, type) or not converter("http").check_output_type_annotation(returned)
        ):
            raise IndexingError(f"function {name}: it must return HttpResponse or str, not {returned}")
    return _Callable(call, inspect.iscoroutinefunction(call), wants_context)
