"""What the parts of a local run must know of each other: ports and keys, kept in DATA_DIR/parts.json.

A later run takes the same keys, and the same ports where they are free; `make start-app` finds the running parts here.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from local.network import choose_port
from local.options import LocalError, Options

# The well-known account of the storage emulators.
_ACCOUNT: Final = "devstoreaccount1"
_ACCOUNT_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, slots=True)
class Parts:
    port: int
    https_port: int
    azurite_port: int
    topic_port: int
    metrics_port: int
    topic_key: str
    system_key: str
    secrets_key: str
    #: The first of the run's access keys, for commands that speak to it.
    access_key: str = ""
    metrics_environment: dict[str, str] = field(default_factory=dict)

    @property
    def tables_connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_ACCOUNT_KEY};"
            f"TableEndpoint=http://127.0.0.1:{self.azurite_port}/{_ACCOUNT};"
        )

    @property
    def azurite_url(self) -> str:
        return f"http://127.0.0.1:{self.azurite_port}/"

    @property
    def topic_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.topic_port}"

    @property
    def app_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def webhook(self, function: str) -> str:
        return f"{self.app_url}/runtime/webhooks/eventgrid?functionName={function}&code={self.system_key}"


def make_parts(options: Options, earlier: Parts | None) -> Parts:
    """Ports and keys for a run: those of the run before, where they are still to be had."""
    taken = {options.port, options.https_port}

    def port(wish: int | None) -> int:
        chosen = choose_port(wish, taken)
        taken.add(chosen)
        return chosen

    return Parts(
        port=options.port,
        https_port=options.https_port,
        azurite_port=port(earlier.azurite_port if earlier else None),
        topic_port=port(earlier.topic_port if earlier else None),
        metrics_port=port(earlier.metrics_port if earlier else None),
        topic_key=earlier.topic_key if earlier else base64.b64encode(secrets.token_bytes(32)).decode(),
        system_key=earlier.system_key if earlier else secrets.token_urlsafe(32),
        secrets_key=earlier.secrets_key if earlier else base64.b64encode(secrets.token_bytes(32)).decode(),
        access_key=options.first_key,
    )


def app_settings(parts: Parts, options: Options, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The app's settings for a local run. What the developer has set is never replaced."""
    settings: dict[str, str] = {
        "ROUTER_ACCESS_KEYS": options.access_keys,
        "ROUTER_SECRETS_KEY": parts.secrets_key,
        "ROUTER_RULES_ALLOW_HTTP_LOOPBACK": "true",
    }
    if not environment.get("ROUTER_TABLES_ENDPOINT"):
        settings["ROUTER_TABLES_CONNECTION_STRING"] = parts.tables_connection_string
    if not environment.get("ROUTER_EVENTGRID_ENDPOINT"):
        settings["ROUTER_EVENTGRID_ENDPOINT"] = parts.topic_endpoint
        settings["ROUTER_EVENTGRID_KEY"] = parts.topic_key
    if not environment.get("APPLICATIONINSIGHTS_CONNECTION_STRING"):
        settings |= parts.metrics_environment
    return {name: environment.get(name) or value for name, value in settings.items()}


def load_parts(data_dir: Path) -> Parts | None:
    path = data_dir / "parts.json"
    try:
        return Parts(**json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise LocalError(
            f"{path} cannot be read ({error}). Delete it: ports and keys are made anew; "
            "secrets in stored policies must then be written again."
        ) from error


def save_parts(data_dir: Path, parts: Parts) -> None:
    path = data_dir / "parts.json"
    draft = path.with_suffix(".json.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(parts), file, indent=2)
    draft.replace(path)
