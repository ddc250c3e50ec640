"""Which router a command speaks to: the one of ROUTER_CONNECTION_STRING, or the local start's."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from jobrouter.failure import CommandError
from local.options import LocalError, read_options
from local.parts import Parts, load_parts
from router.migrate.client import Client, Endpoint, parse_connection_string

VARIABLE: Final = "ROUTER_CONNECTION_STRING"
#: A person waits: a router that is not there is told of within two seconds.
_TRIES: Final = 4
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """The local start's folder: DATA_DIR, or `.data` beside the router."""
    try:
        return read_options(environment).data_dir
    except LocalError as error:
        raise CommandError(str(error)) from None


def local_parts(environment: Mapping[str, str] = os.environ) -> Parts:
    """Ports and keys of the local start. Raises CommandError."""
    folder = data_dir(environment)
    try:
        parts = load_parts(folder)
    except LocalError as error:
        raise CommandError(str(error)) from None
    if parts is None:
        raise CommandError(
            f"No router has been started here ({folder}). Start one with `jobrouter start`, "
            f"or set {VARIABLE} to endpoint=https://...;accesskey=..."
        )
    return parts


def is_local(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether commands speak to the local start's router."""
    return not environment.get(VARIABLE, "").strip()


def endpoint(environment: Mapping[str, str] = os.environ) -> Endpoint:
    """Raises CommandError, or MigrationError where the connection string is none."""
    if not is_local(environment):
        return parse_connection_string(environment[VARIABLE].strip())
    parts = local_parts(environment)
    if not parts.access_key:
        raise CommandError(f"The running router is of an earlier version: start it again, or set {VARIABLE}.")
    return Endpoint(f"http://localhost:{parts.port}", b64decode(parts.access_key))


def connect(trust: str | None = None, environment: Mapping[str, str] = os.environ) -> Client:
    """A client that signs. Over https on this machine it trusts the local start's certificate too."""
    where = endpoint(environment)
    if trust is None and where.url.startswith("https:") and urlsplit(where.url).hostname in _LOOPBACK:
        bundle = data_dir(environment) / "tls" / "trusted.pem"
        trust = str(bundle) if bundle.is_file() else None
    return Client(where, trust=trust, tries=_TRIES)
