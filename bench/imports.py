"""What indexing costs: importing `function_app`, beside the packages that it cannot do without."""

from __future__ import annotations

import statistics
import subprocess
import sys

from bench.figures import heading, line

_PACKAGES = "import azure.functions, azure.data.tables.aio, azure.eventgrid.aio, pydantic, aiohttp"


def _seconds(statement: str, runs: int = 5) -> float:
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    taken = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(runs + 1)
    ]
    return statistics.median(taken[1:])


async def run() -> None:
    heading("Import (cold start)")
    line("import function_app", f"{_seconds('import function_app') * 1000:.0f} ms", "under 1200 ms")
    line("the bare Azure packages, pydantic and aiohttp", f"{_seconds(_PACKAGES) * 1000:.0f} ms")
