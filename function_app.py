"""The function app: what the Functions host indexes. Everything else is in `router`."""

from router.app import create_app

app = create_app()
