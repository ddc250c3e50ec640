"""What a developer reads when the router is up."""

from __future__ import annotations

import shlex
from urllib.parse import quote

from local.certificate import Certificate
from local.options import DEVELOPMENT_KEY, ROOT, Options
from local.parts import Parts


def connection_string(parts: Parts, options: Options) -> str:
    return f"endpoint=https://localhost:{parts.https_port}/;accesskey={options.first_key}"


def console_link(parts: Parts, options: Options) -> str:
    """The page, signed in with the key. What stands behind `#` a browser sends nowhere."""
    return f"http://127.0.0.1:{parts.port}/console#key={quote(options.first_key, safe='')}"


def greeting(parts: Parts, options: Options, certificate: Certificate | None, ctrl_c: str = "everything") -> str:
    """`certificate` is None where only HTTP is served; `ctrl_c` is what Ctrl-C ends."""
    label = "Development key" if options.access_keys == DEVELOPMENT_KEY else "Access key"
    lines = [
        "",
        "The job router is ready.",
        "",
        f"  Endpoint           http://localhost:{parts.port}"
        + (f"  and  https://localhost:{parts.https_port}" if certificate else ""),
        f"  {label:<17}  {options.first_key}",
        f"  Console            {console_link(parts, options)}",
    ]
    if certificate:
        bundle = shlex.quote(str(certificate.bundle))
        lines += [
            f"  Connection string  {connection_string(parts, options)}",
            f"  Metrics            http://localhost:{parts.port}/metrics-explorer",
            f"  API                http://localhost:{parts.port}/openapi.json",
            f"  Processes          {options.topology}",
            "",
            "The SDKs use https with a connection string. To trust the local certificate, start the client with",
            f"  Python   SSL_CERT_FILE={bundle} REQUESTS_CA_BUNDLE={bundle}",
            f"  Node     NODE_EXTRA_CA_CERTS={shlex.quote(str(certificate.certificate))}",
        ]
    lines += [
        "",
        f"Try it in another terminal, in {ROOT}:",
        f"  {_quickstart(parts, options)}",
        f"  {_jobrouter(options)} tail",
        "",
        f"Ctrl-C ends {ctrl_c}.",
        "",
    ]
    return "\n".join(lines)


def _quickstart(parts: Parts, options: Options) -> str:
    port = "" if parts.port == 7071 else f"PORT={parts.port} "
    key = "" if options.access_keys == DEVELOPMENT_KEY else f"ROUTER_ACCESS_KEY={shlex.quote(options.first_key)} "
    return f"{port}{key}.venv/bin/python examples/quickstart.py"


def _jobrouter(options: Options) -> str:
    folder = "" if options.data_dir == ROOT / ".data" else f"DATA_DIR={shlex.quote(str(options.data_dir))} "
    return f"{folder}.venv/bin/jobrouter"
