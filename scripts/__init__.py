"""Tools for building and checking a deployment; run as modules: `python -m scripts.check_deployment`."""
