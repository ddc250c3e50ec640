"""A job router on this machine for the tests of an application. Nothing of the router is in this package."""

from job_router_testkit.process import JobRouter, JobRouterError

__all__ = ["JobRouter", "JobRouterError"]
