"""What a publisher is told when its request is refused."""

from __future__ import annotations

import json


class PublishError(Exception):
    """A request that the topic refuses, in Event Grid's form."""

    def __init__(self, status: int, code: str, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.detail = status, code, message, detail or code

    def body(self) -> bytes:
        details = [{"code": self.detail, "message": self.message}]
        return json.dumps({"error": {"code": self.code, "message": self.message, "details": details}}).encode()
