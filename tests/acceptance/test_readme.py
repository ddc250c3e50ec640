"""The example of the README runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.acceptance.service import Service

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.ours
def test_the_readmes_example_closes_a_job(service: Service) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert '"http://localhost:7071"' in example
    exec(compile(example.replace("http://localhost:7071", service.endpoint), "README.md", "exec"), {})
    with service.client() as client:
        job = client.get_job("case-1")
    assert job.status == "closed"
