"""Microsoft's Bicep compiler, asked over its JSON-RPC, so that many questions cost one start."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

#: What a snapshot is evaluated for: nothing of a subscription is asked.
_PLACE: Final = {
    "tenantId": "00000000-0000-0000-0000-000000000001",
    "subscriptionId": "00000000-0000-0000-0000-000000000002",
    "location": "westeurope",
    "deploymentName": "router",
}


class CompilerFailed(Exception):
    """The compiler ended, or refuses a question."""


@dataclass(frozen=True)
class Compiled:
    """A template as Azure Resource Manager takes it, or None if there are errors; and what is said of its sources."""

    template: dict[str, Any] | None
    findings: list[str]


def find() -> str | None:
    """The compiler on PATH, or the one that the Azure CLI has installed for itself (`az bicep install`)."""
    name = "bicep.exe" if os.name == "nt" else "bicep"
    configured = os.environ.get("AZURE_CONFIG_DIR")
    own = (Path(configured) if configured else Path.home() / ".azure") / "bin" / name
    return shutil.which("bicep") or (str(own) if own.is_file() else None)


class Compiler:
    """A running compiler. To be used in a `with` statement."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._asked = 0

    def __enter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory()
        environment = {
            **os.environ,
            "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
            # It is one file that unpacks itself, by default below a home folder that may not be there.
            "DOTNET_BUNDLE_EXTRACT_BASE_DIR": os.environ.get("DOTNET_BUNDLE_EXTRACT_BASE_DIR", self._home.name),
            "HOME": self._home.name,
        }
        try:
            self._process = subprocess.Popen(
                [self._program, "jsonrpc", "--stdio"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
            )  # fmt: skip
        except OSError as error:
            self._home.cleanup()
            raise CompilerFailed(f"{self._program}: {error}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._home.cleanup()

    def version(self) -> str:
        return str(self._ask("bicep/version")["version"])

    def compile(self, path: Path) -> Compiled:
        """Build a file with its modules, and lint them all."""
        answer = self._ask("bicep/compile", path=str(path))
        findings = [_finding(one, path.parent) for one in answer["diagnostics"]]
        return Compiled(json.loads(answer["contents"]) if answer["success"] else None, sorted(set(findings)))

    def formatted(self, path: Path) -> str:
        """The file as the compiler would write it."""
        return str(self._ask("bicep/format", path=str(path))["contents"])

    def snapshot(self, path: Path) -> str:
        """What a parameters file makes of its template, evaluated: JSON with every resource that would be deployed."""
        evaluated = json.loads(self._ask("bicep/getSnapshot", path=str(path), metadata=_PLACE)["snapshot"])
        evaluated["predictedResources"].sort(key=lambda resource: str(resource["id"]))
        evaluated["outputs"] = dict(sorted(evaluated.get("outputs", {}).items()))  # they come in no order
        return json.dumps(evaluated, indent=2, ensure_ascii=False) + "\n"

    def _ask(self, method: str, **parameters: object) -> dict[str, Any]:
        self._asked += 1
        message = {"jsonrpc": "2.0", "id": self._asked, "method": method, "params": parameters}
        body = json.dumps(message).encode()
        to, answers = self._process.stdin, self._process.stdout
        assert to is not None
        assert answers is not None
        try:
            to.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            to.flush()
            answer = json.loads(answers.read(_length(answers)))
        except (OSError, ValueError):
            raise CompilerFailed(f"{self._program} ended at {method}") from None
        if "error" in answer:
            raise CompilerFailed(f"{method}: {answer['error'].get('data', answer['error']).get('message')}")
        result: dict[str, Any] = answer["result"]
        return result


def _length(answers: IO[bytes]) -> int:
    """The length of the next message: 0 when the compiler has ended."""
    length = 0
    while line := answers.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return length


def _finding(diagnostic: dict[str, Any], folder: Path) -> str:
    source, start = Path(diagnostic["source"]), diagnostic["range"]["start"]
    name = source.relative_to(folder).as_posix() if source.is_relative_to(folder) else source.as_posix()
    return f"{name}({start['line'] + 1}): {diagnostic['code']}: {diagnostic['message']}"
