"""Signs what `requests` is about to send."""

from __future__ import annotations

import requests
from requests.auth import AuthBase

from tests.raw_wire import sign


class AccessKeyAuth(AuthBase):
    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        assert request.url is not None
        assert request.method is not None
        body = request.body or b""
        assert isinstance(body, str | bytes), "what is read only once cannot be signed"
        content = body.encode() if isinstance(body, str) else body
        host = request.url.split("/")[2]
        request.headers.update(sign(self._key, request.method, request.path_url, host, content))
        return request
