"""A browser's questions to a whole router (docs/behaviour.md, "Requests of web pages")."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping

from tests.conftest import StartRouter

PAGE = "https://desk.example.com"
ASKS = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,x-ms-date"}


def answered(url: str, method: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=dict(headers), method=method), timeout=20
        ) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, {name.lower(): value for name, value in error.headers.items()}


def test_a_page_asks_and_reads(start_router: StartRouter) -> None:
    router = start_router(environment={"ROUTER_CORS_ORIGINS": PAGE})
    for path in ("/routing/jobs/a?api-version=2023-11-01", "/routing/jobs/a:cancel", "/openapi.json"):
        status, headers = answered(f"{router.endpoint}{path}", "OPTIONS", {"Origin": PAGE, **ASKS})
        assert (status, headers["access-control-allow-origin"]) == (204, PAGE)
        assert headers["access-control-allow-headers"] == "authorization,x-ms-date"
        assert "strict-transport-security" not in headers
        assert answered(f"{router.endpoint}{path}", "OPTIONS", {"Origin": "https://x.example", **ASKS})[0] == 401
    status, headers = answered(f"{router.endpoint}/routing/jobs", "GET", {"Origin": PAGE})
    assert (status, headers["access-control-allow-origin"]) == (401, PAGE)  # the page can read why
