"""A transaction of Table Storage as one request (OData 3.0, "Batch Processing"; Azure documentation, "Performing entity
group transactions").

The SDK makes and reads these with Python's e-mail package, which takes four times as long as all else that it does for
a request."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.storage.refusals import refusal

_STATUS: Final = re.compile(rb"^HTTP/1\.1 (\d{3}) ?(.*?)\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, before it is signed."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None


def encode(requests: Sequence[Request]) -> tuple[str, bytes]:
    """The boundary, and the requests as one changeset: all of them or none. What is between two boundaries cannot
    hold one: they are made of the digest of it all."""
    contents = [request.content or b"" for request in requests]
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


def check(status: int, answer: bytes) -> None:
    """Raises HttpResponseError, with the status and the code of the change that failed, unless all were made."""
    if status == 202:
        failed = next((found for found in _STATUS.finditer(answer) if not found[1].startswith(b"2")), None)
        if failed is None:
            if _STATUS.search(answer) is None:
                raise refusal(502, "an answer to a transaction without any in it", answer)
            return
        raise refusal(int(failed[1]), failed[2].decode("utf-8", "replace"), answer[failed.end() :])
    raise refusal(status, "a transaction was refused", answer)
