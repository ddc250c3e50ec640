"""Microsoft's own worker for Python, in this process: the library azure-functions-runtime, which the platform's Python
worker loads from Python 3.13 on (https://github.com/Azure/azure-functions-python-worker, `runtimes/v2`). It finds the
functions, decodes requests, events and timers, calls, and encodes the answers."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import azure_functions_runtime as runtime

from local.host.index import HostedFunction, IndexingError, hosted_function
from local.host.messages import PROTOS, ParameterBinding, RpcHttp, StatusResult, TypedData
from local.host.worker import FunctionFailed, HttpAnswer, HttpCall, Invocations

_SCRIPT: Final = "PYTHON_SCRIPT_FILE_NAME"
#: The protocol's names of `SameSite`, as a browser reads them.
_SAME_SITE: Final = {1: "Lax", 2: "Strict", 3: "None"}


class MicrosoftWorker:
    """One app a process: the library keeps it."""

    def __init__(self, functions: Sequence[HostedFunction], version: str) -> None:
        self._functions: Final = functions
        self._version = version
        self._invocations = Invocations()

    @classmethod
    async def open(cls, app_dir: Path, module: str) -> MicrosoftWorker:
        """Raises IndexingError, with what the library says."""
        os.environ[_SCRIPT] = f"{module}.py"
        init = SimpleNamespace(capabilities={}, function_app_directory=str(app_dir))
        answer = await runtime.worker_init_request(_request(worker_init_request=init))
        _check(answer.result)
        listed = await runtime.functions_metadata_request(_request())
        _check(listed.result)
        functions = [
            hosted_function(found.name, found.function_id, found.raw_bindings)
            for found in listed.function_metadata_results or ()
        ]
        if not functions:
            raise IndexingError(f"{module}.py registers no functions")
        for function in functions:
            asked = SimpleNamespace(function_id=function.id)
            _check((await runtime.function_load_request(_request(function_load_request=asked))).result)
        runtime.start_threadpool_executor()
        return cls(functions, str(answer.worker_metadata.worker_version))

    @property
    def name(self) -> str:
        return f"azure-functions-runtime {self._version}"

    @property
    def functions(self) -> Sequence[HostedFunction]:
        return self._functions

    async def call_http(self, function: HostedFunction, call: HttpCall) -> HttpAnswer:
        request = RpcHttp(
            method=call.method,
            url=call.url,
            headers=call.headers,
            query=call.query,
            params=call.route,
            body=TypedData(bytes=call.body) if call.body else None,
        )
        trace = call.headers.get("traceparent", ""), call.headers.get("tracestate", "")
        returned = await self._invoke(function, TypedData(http=request), trace)
        return _answer(returned)

    async def call_json(self, function: HostedFunction, text: str) -> None:
        await self._invoke(function, TypedData(json=text), ("", ""))

    async def finish(self, seconds: float) -> None:
        await self._invocations.finish(seconds)
        threads = runtime.get_threadpool_executor()
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    async def _invoke(self, function: HostedFunction, data: TypedData, trace: tuple[str, str]) -> Any:
        invocation = SimpleNamespace(
            invocation_id=str(uuid.uuid4()),
            function_id=function.id,
            input_data=[ParameterBinding(name=function.parameter, data=data)],
            trigger_metadata={},
            trace_context=SimpleNamespace(trace_parent=trace[0], trace_state=trace[1], attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await self._invocations.run(runtime.invocation_request(_request(invocation_request=invocation)))
        if answer.result.status != StatusResult.Success:
            raise FunctionFailed(answer.result.exception.message, answer.result.exception.stack_trace)
        return answer.return_value


def _request(**content: Any) -> Any:
    return SimpleNamespace(
        request=SimpleNamespace(**content), properties={"host": "127.0.0.1", "protos": PROTOS}, request_id=""
    )


def _check(result: Any) -> None:
    if result.status != StatusResult.Success:
        raise IndexingError(result.exception.message)


def _answer(returned: Any) -> HttpAnswer:
    if returned.kind == "string":
        return HttpAnswer(200, {"content-type": "text/plain; charset=utf-8"}, (), returned.value.encode())
    http: RpcHttp = returned.http
    return HttpAnswer(
        int(http.status_code), http.headers, [_cookie(cookie) for cookie in http.cookies], http.body.value or b""
    )


def _cookie(cookie: Any) -> str:
    """A cookie as `Set-Cookie` has it."""
    parts = [f"{cookie.name}={cookie.value}"]
    for name, value in (("Domain", cookie.domain), ("Path", cookie.path)):
        if value is not None and value.value:
            parts.append(f"{name}={value.value}")
    if cookie.expires is not None:
        parts.append(f"Expires={formatdate(cookie.expires.value.seconds, usegmt=True)}")
    if cookie.max_age is not None:
        parts.append(f"Max-Age={cookie.max_age.value:.0f}")
    for name, flag in (("Secure", cookie.secure), ("HttpOnly", cookie.http_only)):
        if flag is not None and flag.value:
            parts.append(name)
    if same_site := _SAME_SITE.get(int(cookie.same_site)):
        parts.append(f"SameSite={same_site}")
    return "; ".join(parts)
