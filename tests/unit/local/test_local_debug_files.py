"""Which change of a file starts the app again, and what editors are told to start."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from local import debug
from local.options import ROOT


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debug, "_LOOK_SECONDS", 0.01)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "router").mkdir()
    for name in ("function_app.py", "router/one.py", "router/gone.py", "host.json"):
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("what", "path"),
    [("write", "function_app.py"), ("write", "host.json"), ("write", "router/new.py"), ("unlink", "router/gone.py")],
)
async def test_a_change_is_seen(app: Path, what: str, path: str) -> None:
    files = debug.Files(app)
    changed = asyncio.create_task(files.changed())
    await asyncio.sleep(0.05)
    assert not changed.done()
    if what == "unlink":
        (app / path).unlink()
    else:
        (app / path).write_text("changed")
        os.utime(app / path, ns=(1, 1))
    assert await asyncio.wait_for(changed, 20) == app / path


async def test_what_is_no_part_of_the_app_is_not(app: Path) -> None:
    files = debug.Files(app)
    (app / "notes.md").write_text("x")
    (app / "router" / "one.pyc").write_text("x")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(files.changed(), 0.2)


def test_what_editors_start_is_there() -> None:
    launch = json.loads((ROOT / ".vscode" / "launch.json").read_text("utf-8"))
    assert [one["module"] for one in launch["configurations"]] == ["local", "pytest"]
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    assert container["postCreateCommand"] == "make setup"
