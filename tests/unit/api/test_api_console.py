"""The console's files as they are answered (docs/behaviour.md, "Console")."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from router.api.console import Console, sign_in_of
from router.app import RouterApp
from router.console.files import read_files
from router.settings import load
from router.version import VERSION
from tests.unit.test_app_health import SETTINGS

PAGE = "<!doctype html><title>Console</title>" + "<p>a line that is there again</p>" * 20
GUID = "7f3f3a5e-58cf-4a2b-9a39-9b9c6a1c0001"
ENTRA: dict[str, Any] = {"ROUTER_ENTRA_TENANT_ID": "tenant", "ROUTER_ENTRA_AUDIENCE": f"api://{GUID}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    static = tmp_path / "static"
    (static / "vendor").mkdir(parents=True)
    (static / "index.html").write_text(PAGE)
    (static / "vendor" / "lib.mjs").write_text("export const one = 1;\n")
    (static / "vendor" / "lib.LICENSE").write_text("MIT")
    (static / "icon.png").write_bytes(b"\x89PNG" + b"\0" * 100)
    (static / ".hidden").write_text("no")
    (tmp_path / "secret.txt").write_text("no")
    (static / "out.txt").symlink_to(tmp_path / "secret.txt")
    return static


def console(folder: Path, *, local: bool = True, **settings: Any) -> Console:
    return Console(sign_in_of(load({**SETTINGS, **settings})), local=local, folder=folder)


async def ask(page: Console, file: str = "", **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    given = {"host": "localhost:7071", **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = func.HttpRequest("GET", f"http://localhost:7071/console/{file}", headers=given, body=b"")
    answered = await page.answer(request, file)
    return answered.status_code, {name.lower(): value for name, value in answered.headers.items()}, answered.get_body()


async def test_the_page_and_its_files_have_their_types(folder: Path) -> None:
    page = console(folder)
    for file, type in {
        "": "text/html; charset=utf-8",
        "index.html": "text/html; charset=utf-8",
        "vendor/lib.mjs": "text/javascript; charset=utf-8",
        "vendor/lib.LICENSE": "text/plain; charset=utf-8",
        "icon.png": "image/png",
    }.items():
        status, headers, body = await ask(page, file)
        assert (status, headers["content-type"]) == (200, type)
        assert body == (folder / (file or "index.html")).read_bytes()


async def test_every_answer_has_the_headers_that_keep_it_safe(folder: Path) -> None:
    page = console(folder)
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    for file in ("", "vendor/lib.mjs", "none.js", "settings.json"):
        _, headers, _ = await ask(page, file)
        assert headers["content-security-policy"] == policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "x-ms-request-id" in headers
        assert headers["cross-origin-opener-policy"] == "same-origin-allow-popups"
    # The window of the sign-in is not to be parted from the page that waits for its answer.
    _, headers, _ = await ask(page, "signed-in.html")
    assert headers["content-security-policy"] == policy
    assert "cross-origin-opener-policy" not in headers
    _, headers, _ = await ask(console(folder, ROUTER_ENTRA_AUTHORITY="https://login.example/", **ENTRA))
    assert "connect-src 'self' https://login.example;" in headers["content-security-policy"]


@pytest.mark.parametrize(
    "file",
    [
        "none.js",
        "../secret.txt",
        "..%2fsecret.txt",
        "vendor/../index.html",
        "vendor/../../secret.txt",
        "/etc/passwd",
        "//etc/passwd",
        "vendor",
        "vendor/",
        ".hidden",
        "out.txt",
        "vendor\\lib.mjs",
        "index.html\0",
        "INDEX.HTML",
    ],
)
async def test_only_the_files_of_the_page_are_served(folder: Path, file: str) -> None:
    page = console(folder)
    request = func.HttpRequest("GET", "http://localhost/console", headers={"host": "localhost"}, body=b"")
    answered = await page.answer(request, file)
    assert answered.status_code == 404
    assert json.loads(answered.get_body())["error"]["code"] == "NotFound"


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
    ],
)
async def test_gzip_where_it_is_allowed_and_saves_something(folder: Path, accepted: str, zipped: bool) -> None:
    page = console(folder)
    status, headers, body = await ask(page, accept_encoding=accepted)
    assert (status, headers["vary"]) == (200, "Accept-Encoding")
    assert ("content-encoding" in headers) is zipped
    assert (gzip.decompress(body) if zipped else body).decode() == PAGE
    for file in ("icon.png", "vendor/lib.LICENSE"):
        _, headers, body = await ask(page, file, accept_encoding=accepted)
        assert "content-encoding" not in headers
        assert body == (folder / file).read_bytes()


async def test_what_a_reader_has_is_not_sent_again(folder: Path) -> None:
    page = console(folder)
    tags = {}
    for accepted in ("gzip", "identity"):
        _, headers, _ = await ask(page, accept_encoding=accepted)
        tags[accepted] = headers["etag"]
        status, again, body = await ask(page, accept_encoding=accepted, if_none_match=f'"other", W/{headers["etag"]}')
        assert (status, again["etag"], body) == (304, headers["etag"], b"")
        assert "content-security-policy" in again
    assert tags["gzip"] != tags["identity"]
    status, _, _ = await ask(page, accept_encoding="gzip", if_none_match=tags["identity"])
    assert status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "127.0.0.1"}, 200),
        ({"host": "[::1]:7071", "origin": "http://localhost:7071"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"host": ""}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
async def test_locally_the_page_is_for_this_machine_alone(folder: Path, headers: dict[str, str], status: int) -> None:
    for file in ("", "settings.json"):
        assert (await ask(console(folder), file, **headers))[0] == status
        assert (await ask(console(folder, local=False), file, **headers))[0] == 200


@pytest.mark.parametrize(
    ("settings", "entra"),
    [
        ({}, None),
        ({"ROUTER_ENTRA_TENANT_ID": "tenant", "ROUTER_ENTRA_AUDIENCE": "https://router.example"}, None),
        (ENTRA, {"clientId": GUID, "scope": f"{GUID}/.default"}),
        ({**ENTRA, "ROUTER_ENTRA_AUDIENCE": GUID}, {"clientId": GUID, "scope": f"{GUID}/.default"}),
        (
            {**ENTRA, "ROUTER_ENTRA_AUDIENCE": "https://router.example/", "ROUTER_ENTRA_CLIENT_ID": GUID},
            {"clientId": GUID, "scope": "https://router.example/.default"},
        ),
    ],
)
async def test_the_page_is_told_how_to_sign_in(folder: Path, settings: dict[str, Any], entra: Any) -> None:
    status, _, body = await ask(console(folder, **settings), "settings.json")
    if entra is not None:
        entra = {"authority": "https://login.microsoftonline.com/tenant", **entra}
    assert (status, json.loads(body)) == (200, {"entra": entra, "version": VERSION})


@pytest.mark.parametrize(("days", "told"), [("0", None), ("1", True), (None, True)])
async def test_the_page_is_told_of_a_history(days: str | None, told: bool | None) -> None:
    given = {**SETTINGS, **({} if days is None else {"ROUTER_HISTORY_DAYS": days})}
    _, _, body = await ask(RouterApp(load(given)).console(), "settings.json")
    assert json.loads(body).get("history") is told


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert read_files(tmp_path / "none") == {}
