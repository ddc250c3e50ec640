"""A local Event Grid custom topic: `python -m local.topic`, a process of its own on 127.0.0.1.

It imitates the service where a publisher or a subscriber can tell the difference; docs/local-topic.md says
where it stops.
"""
