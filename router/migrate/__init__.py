"""Moving from ACS Job Router (or from another router) to this one: `python -m router.migrate --help`.

A developer's tool. The function app never imports it, and it needs nothing but what is deployed."""
