"""A transaction of Table Storage as one request (OData 3.0, "Batch Processing"; Azure documentation, "Performing entity
group transactions").

The SDK makes and reads these with Python's e-mail package, which takes four times as long as all else that it does for
a request. The requests inside are the SDK's own."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

_STATUS: Final = re.compile(rb"^HTTP/1\.1 (\d{3}) ?(.*?)\r?$", re.MULTILINE)


def lighten(client: Any) -> None:
    """From here on the transactions of the SDK's table client take this way."""

    async def send(table_name: str, *requests: HttpRequest, **options: Any) -> list[Mapping[str, Any]]:
        del table_name
        boundary, content = encode(requests)
        request = HttpRequest(
            "POST",
            f"{client.scheme}://{client._primary_hostname}/$batch",
            headers={
                "x-ms-version": client.api_version,
                "DataServiceVersion": "3.0",
                "MaxDataServiceVersion": "3.0;NetFx",
                "Content-Type": f"multipart/mixed; boundary={boundary}",
                "Accept": "application/json",
            },
            content=content,
        )
        response = await client._client.send_request(request, stream=True, **options)
        check(response.status_code, await response.read())
        return []

    client._batch_send = send


def encode(requests: Sequence[HttpRequest]) -> tuple[str, bytes]:
    """The boundary, and the requests as one changeset: all of them or none. What is between two boundaries cannot
    hold one: they are made of the digest of it all."""
    contents = [_bytes(request.content) for request in requests]
    digest = hashlib.sha256(b"".join(contents)).hexdigest()
    boundary, changes = f"batch_{digest}", f"changeset_{digest}"
    parts = [f"--{boundary}\r\nContent-Type: multipart/mixed; boundary={changes}\r\n\r\n".encode()]
    for number, (request, content) in enumerate(zip(requests, contents, strict=True)):
        headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        parts.append(
            f"--{changes}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
            f"Content-ID: {number}\r\n\r\n{request.method} {request.url} HTTP/1.1\r\n{headers}\r\n".encode()
        )
        parts += [content, b"\r\n"]
    parts.append(f"--{changes}--\r\n\r\n--{boundary}--\r\n".encode())
    return boundary, b"".join(parts)


def _bytes(content: Any) -> bytes:
    return content.encode() if isinstance(content, str) else content or b""


def check(status: int, answer: bytes) -> None:
    """Raises HttpResponseError, with the status and the code of the change that failed, unless all were made."""
    if status == 202:
        failed = next((found for found in _STATUS.finditer(answer) if not found[1].startswith(b"2")), None)
        if failed is None:
            if _STATUS.search(answer) is None:
                raise _error(502, "an answer to a transaction without any in it", answer)
            return
        raise _error(int(failed[1]), failed[2].decode("utf-8", "replace"), answer[failed.end() :])
    raise _error(status, "a transaction was refused", answer)


def _error(status: int, reason: str, answer: bytes) -> HttpResponseError:
    code, message = _told(answer)
    error = HttpResponseError(message=f"{status} {reason}: {code} {message}")
    error.status_code = status
    error.error_code = code  # type: ignore[attr-defined]
    return error


def _told(answer: bytes) -> tuple[str, str]:
    """The code and the message of an error in OData's JSON; nothing where there is none."""
    start, end = answer.find(b"{"), answer.rfind(b"}")
    try:
        told = json.loads(answer[start : end + 1])["odata.error"]
        return str(told["code"]), str(told["message"]["value"])
    except (ValueError, KeyError, TypeError):
        return "", ""
