"""The example of the README runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.acceptance.service import Service

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.ours
def test_the_readmes_example_closes_a_job(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert '"http://localhost:7071"' in example
    code = compile(example.replace("http://localhost:7071", service.endpoint), "README.md", "exec")
    for _ in range(2):  # a reader tries it again
        exec(code, {})
        assert capsys.readouterr().out == "closed\n"
