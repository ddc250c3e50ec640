"""The command lines of the parts of a local run, and the files they read."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from local.certificate import Certificate
from local.options import LOOPBACK, ROOT, LocalError, Options
from local.parts import Parts
from local.topic.options import KEYS as TOPIC_KEYS
from local.topology import AppProcess

_AZURITE: Final = ROOT / "node_modules" / "azurite" / "dist" / "src"
_HOUR: Final = "3600"


def azurite_command(parts: Parts, data_dir: Path) -> list[str]:
    """Azurite's table service alone: the router stores nothing else."""
    return [
        *_node(_AZURITE / "table" / "main.js"),
        *("--tableHost", "127.0.0.1", "--tablePort", str(parts.azurite_port)),
        *_azurite_options(data_dir),
    ]


def full_azurite_command(parts: Parts, data_dir: Path, blob_port: int, queue_port: int) -> list[str]:
    """Azurite with blobs and queues too: Core Tools keep timer locks and keys there."""
    return [
        *_node(_AZURITE / "azurite.js"),
        *("--tableHost", "127.0.0.1", "--tablePort", str(parts.azurite_port)),
        *("--blobHost", "127.0.0.1", "--blobPort", str(blob_port)),
        *("--queueHost", "127.0.0.1", "--queuePort", str(queue_port)),
        *_azurite_options(data_dir),
    ]


def _azurite_options(data_dir: Path) -> list[str]:
    # A connection that Azurite closed just as a client reuses it would look like a storage fault: keep them long.
    keep_alive = ["--tableKeepAliveTimeout", _HOUR]
    return [
        "--disableTelemetry",
        "--silent",
        "--skipApiVersionCheck",
        *("--location", str(data_dir / "azurite")),
        *keep_alive,
    ]


def _node(script: Path) -> list[str]:
    node = shutil.which("node")
    if node is None:
        raise LocalError("Node.js is not on PATH; version 20 or later is needed for Azurite.")
    if not script.is_file():
        raise LocalError("Azurite, the storage emulator, is not installed: `make runtime` installs what a run needs.")
    return [node, str(script)]


def topic_command(parts: Parts, data_dir: Path, subscriptions: Path, schema: str | None) -> list[str]:
    return [
        *(sys.executable, "-m", "local.topic"),
        *("--port", str(parts.topic_port)),
        *("--data-dir", str(data_dir / "topic"), "--subscriptions", str(subscriptions)),
        *(("--schema", schema) if schema else ()),
    ]


def topic_environment(parts: Parts) -> dict[str, str]:
    """Its key: a command line is for everybody on the machine to read."""
    return {TOPIC_KEYS: parts.topic_key}


def host_command(
    parts: Parts,
    certificate: Certificate,
    app_dir: Path,
    mounts: Sequence[str],
    process: AppProcess,
    *,
    share_ports: bool,
    listen: str = LOOPBACK,
    asked_on: int | None = None,
) -> list[str]:
    """`asked_on`: the open file on which it is asked whether it lives (local/questions.py)."""
    common = [
        *(sys.executable, "-m", "local.host", "--app-dir", str(app_dir)),
        *("--wait-for", parts.azurite_url, "--wait-for", f"{parts.topic_endpoint}/health"),
        *(("--asked-on", str(asked_on)) if asked_on is not None else ()),
    ]
    if not process.serves:
        return [*common, "--timers-only"]
    return [
        *common,
        *("--port", str(parts.port), "--https-port", str(parts.https_port), "--listen", listen),
        *("--certificate", str(certificate.certificate), "--key", str(certificate.key)),
        *(argument for mount in mounts for argument in ("--mount", mount)),
        *(("--share-ports",) if share_ports else ()),
        *(() if process.timers else ("--no-timers",)),
    ]


def core_tools_command(parts: Parts) -> list[str]:
    func = shutil.which("func")
    if func is None:
        raise LocalError(
            "Azure Functions Core Tools (`func`) are not on PATH. Install them, or use `make start`, "
            "which needs nothing but Python and Node."
        )
    return [func, "start", "--port", str(parts.port)]


def write_subscriptions(path: Path, app_dir: Path, parts: Parts, options: Options) -> None:
    """Event Grid's subscriptions: the app's own, from the list that the deployment uses too, and the developer's."""
    source = app_dir / "infra" / "event-subscriptions.json"
    internal: list[dict[str, Any]] = json.loads(source.read_text()) if source.is_file() else []
    subscriptions: list[dict[str, Any]] = [
        {
            "name": subscription["name"],
            "endpoint": parts.webhook(subscription["function"]),
            "includedEventTypes": subscription["includedEventTypes"],
            "trusted": True,
        }
        for subscription in internal
    ]
    for number, url in enumerate(options.event_subscribers, start=1):
        subscriptions.append({"name": f"subscriber-{number}", "endpoint": url})
    path.write_text(json.dumps(subscriptions, indent=2))


def write_local_settings(app_dir: Path, settings: Mapping[str, str]) -> None:
    """local.settings.json for Core Tools, unless the developer has one; the environment goes before it anyway."""
    path = app_dir / "local.settings.json"
    if path.exists():
        return
    values = {"FUNCTIONS_WORKER_RUNTIME": "python", **settings}
    path.write_text(json.dumps({"IsEncrypted": False, "Values": values}, indent=2) + "\n")
    os.chmod(path, 0o600)
