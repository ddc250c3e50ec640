"""Which worker runs the functions: from Python 3.13 on the library that the platform's own worker loads; before, a thin
loader around the converters of azure-functions."""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path
from typing import Final

from local.host.index import IndexingError
from local.host.worker import Worker

log = logging.getLogger("local.host")

_RUNTIME: Final = "azure_functions_runtime"


async def open_worker(app_dir: Path, module: str = "function_app") -> Worker:
    """The worker for this Python, with the app's functions. Raises IndexingError."""
    if not (app_dir / f"{module}.py").is_file():
        raise IndexingError(f"there is no {module}.py in {app_dir}")
    if str(app_dir) not in sys.path:
        sys.path.insert(0, str(app_dir))
    if sys.version_info >= (3, 13) and importlib.util.find_spec(_RUNTIME) is not None:
        from local.host.microsoft import MicrosoftWorker

        return await MicrosoftWorker.open(app_dir, module)
    if sys.version_info >= (3, 13):
        log.warning("azure-functions-runtime is not installed: the functions run under a thin loader instead")
    from local.host.thin import ThinWorker

    return ThinWorker(app_dir, module)
