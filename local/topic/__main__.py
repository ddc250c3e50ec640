"""`python -m local.topic`: run the topic until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys

from aiohttp import web

from local import malformed
from local.topic.options import Options, parse_options
from local.topic.server import make_app
from local.topic.subscriptions import SubscriptionsError
from local.topic.topic import Topic

_log = logging.getLogger("local.topic")


async def run(options: Options) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows has no such handlers; there a kill is a kill
            loop.add_signal_handler(number, stopping.set)
    topic = Topic(options)
    runner = web.AppRunner(make_app(topic, options), access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await topic.start()
        # Last, so that whoever can connect finds it ready.
        await web.TCPSite(runner, "127.0.0.1", options.port).start()
        _log.info("topic at %s/api/events", options.endpoint)
        await stopping.wait()
    finally:
        await runner.cleanup()
        await topic.stop()


def main() -> None:
    options = parse_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    malformed.tell_briefly()
    try:
        asyncio.run(run(options))
    except (SubscriptionsError, OSError) as error:
        sys.exit(f"local.topic: {error}")


if __name__ == "__main__":
    main()
