"""An Azurite of a test's own."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.commands import azurite_command
from local.parts import Parts


@contextmanager
def running_azurite(folder: Path) -> Iterator[str]:
    """Its connection string, while it runs on a free port with its data in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    parts = Parts(0, 0, port, 0, 0, "", "", "")
    command = azurite_command(parts, folder)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until = time.monotonic() + 60
            while not _answers(port):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, "Azurite does not answer."
                time.sleep(0.1)
            yield parts.tables_connection_string
        finally:
            process.terminate()
            process.wait(60)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
