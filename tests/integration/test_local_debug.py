"""`make debug`: the app has the terminal, and a change of a file starts it again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from local.network import choose_port
from local.options import ROOT
from tests.eventually import eventually
from tests.local_router import clean_environment

APP = """
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route(route="health")
async def health(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("well")

@app.route(route="stop")
async def stop(req: func.HttpRequest) -> func.HttpResponse:
    answer = 6
    breakpoint()
    return func.HttpResponse(str(answer))
"""


@pytest.mark.timeout(150)
def test_a_breakpoint_has_the_terminal_and_a_change_is_followed(tmp_path: Path) -> None:
    app, data = tmp_path / "app", tmp_path / "data"
    app.mkdir()
    (app / "function_app.py").write_text(APP)
    (app / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}))
    port = choose_port(None, ())
    environment = {
        **clean_environment(),
        "PORT": str(port),
        "HTTPS_PORT": str(choose_port(None, {port})),
        "DATA_DIR": str(data),
        "PYTHONUNBUFFERED": "1",
    }
    log = tmp_path / "log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "local", "--debug", "--app-dir", str(app)]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output, text=True
        )
    answers: list[str] = []

    def ask() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/stop", timeout=60) as answer:
            answers.append(answer.read().decode())

    def says(text: str) -> None:
        eventually(lambda: text in log.read_text() or process.poll() is not None, text, 60)
        assert text in log.read_text(), log.read_text()

    try:
        says("breakpoint() stops here")
        asking = threading.Thread(target=ask)
        asking.start()
        says("(Pdb)")
        assert process.stdin is not None
        process.stdin.write("answer = answer * 7\ncontinue\n")
        process.stdin.flush()
        asking.join(30)
        assert answers == ["42"]

        (app / "function_app.py").write_text("this is no Python")
        says("function_app.py has changed")
        says("It starts again when a file changes")
        (app / "function_app.py").write_text(APP.replace("breakpoint()", "answer += 1"))
        says("The app is there again.")
        ask()
        assert answers == ["42", "7"]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        finally:
            process.kill()
    assert process.returncode == 0
    assert list(data.glob("*.pid")) == []
