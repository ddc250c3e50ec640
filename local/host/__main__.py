"""`python -m local.host`: serves the function app of a folder on this machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from pathlib import Path

from local import malformed
from local.host.index import IndexingError
from local.host.mounts import load_mount
from local.host.routes import RouteError
from local.host.server import HostOptions, serve_until_signalled

_LEVELS = {"Trace": "DEBUG", "Debug": "DEBUG", "Information": "INFO", "Warning": "WARNING", "Error": "ERROR"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.host", description=__doc__)
    parser.add_argument("--app-dir", type=Path, default=Path.cwd(), help="folder of function_app.py and host.json")
    parser.add_argument("--module", default="function_app", help="name of the app's module")
    parser.add_argument("--port", type=int, default=7071)
    parser.add_argument("--https-port", type=int)
    parser.add_argument("--listen", default="127.0.0.1", help="address of the ports; default: loopback, ::1 too")
    parser.add_argument("--certificate", type=Path, help="PEM file, for HTTPS")
    parser.add_argument("--key", type=Path, help="PEM file, for HTTPS")
    parser.add_argument("--share-ports", action="store_true", help="other host processes use the same ports")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--no-timers", action="store_true", help="another host process runs the timers")
    which.add_argument("--timers-only", action="store_true", help="others serve; this one listens nowhere")
    parser.add_argument("--wait-for", action="append", default=[], help="URL that must answer before serving begins")
    parser.add_argument("--mount", action="append", default=[], help="a further page: module:function=argument")
    parser.add_argument("--asked-on", type=int, help="open file on which the starter asks whether this one lives")
    options = parser.parse_args()
    set_up_logging(options.app_dir)
    try:
        asyncio.run(
            serve_until_signalled(
                options.module,
                HostOptions(
                    app_dir=options.app_dir.resolve(),
                    port=options.port,
                    https_port=options.https_port,
                    listen=options.listen,
                    certificate=options.certificate,
                    key=options.key,
                    system_key=os.environ.get("LOCAL_HOST_SYSTEM_KEY", ""),
                    share_ports=options.share_ports,
                    serves=not options.timers_only,
                    timers=not options.no_timers,
                    wait_for=options.wait_for,
                    asked_on=options.asked_on,
                    mounts=[load_mount(mount) for mount in options.mount],
                ),
            )
        )
    except (IndexingError, RouteError) as error:
        print(f"The function app cannot be served:\n{error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"The host cannot listen: {error.strerror or error}", file=sys.stderr)
        return 3
    return 0


def set_up_logging(app_dir: Path) -> None:
    """The default level of host.json; the Azure packages speak only when something is wrong."""
    path = app_dir / "host.json"
    settings = json.loads(path.read_text()) if path.is_file() else {}
    default = settings.get("logging", {}).get("logLevel", {}).get("default", "Information")
    logging.basicConfig(level=_LEVELS.get(default, "INFO"), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)  # Microsoft's worker too: its logger is below it
    malformed.tell_briefly()


if __name__ == "__main__":
    sys.exit(main())
