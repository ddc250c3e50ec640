"""Metrics on a developer's machine: a collector for what the app exports, and the Metrics page over it."""

from __future__ import annotations

from local.metrics.collector import Collector, start
from local.metrics.mount import mount

__all__ = ["Collector", "mount", "start"]
