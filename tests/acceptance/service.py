"""The service that the acceptance tests speak to: a router on this machine, or a real ACS resource."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient, aio
from azure.core.credentials import AzureKeyCredential
from azure.core.rest import HttpRequest, HttpResponse

from tests.local_router import LocalRouter

GA = "2023-11-01"
PREVIEW = "2024-01-18-preview"


@dataclass(frozen=True)
class Service:
    endpoint: str
    key: str
    connection_string: str
    certificate: Path | None
    """What to trust, where the certificate is not one that everybody trusts."""

    ours: bool

    @property
    def credential(self) -> AzureKeyCredential:
        return AzureKeyCredential(self.key)

    def administration(self, **options: Any) -> JobRouterAdministrationClient:
        return JobRouterAdministrationClient(self.endpoint, self.credential, **options)

    def client(self, **options: Any) -> JobRouterClient:
        return JobRouterClient(self.endpoint, self.credential, **options)

    def administration_aio(self, **options: Any) -> aio.JobRouterAdministrationClient:
        return aio.JobRouterAdministrationClient(self.endpoint, self.credential, **options)

    def client_aio(self, **options: Any) -> aio.JobRouterClient:
        return aio.JobRouterClient(self.endpoint, self.credential, **options)

    @property
    def trust(self) -> dict[str, Any]:
        """Options of a client that goes over https."""
        return {"connection_verify": str(self.certificate)} if self.certificate else {}


def local_service(router: LocalRouter) -> Service:
    return Service(router.endpoint, router.key, router.connection_string, router.certificate, ours=True)


def acs_service(connection_string: str) -> Service:
    fields = dict(part.split("=", 1) for part in connection_string.split(";") if part)
    fields = {name.lower(): value for name, value in fields.items()}
    return Service(fields["endpoint"].rstrip("/"), fields["accesskey"], connection_string, None, ours=False)


def send(client: Any, method: str, path: str, *, version: str | None = GA, **options: Any) -> HttpResponse:
    """A request that no operation of the SDK makes, signed by its pipeline: `send(client, "GET", "routing/jobs")`."""
    query = {"api-version": version} if version is not None else {}
    request = HttpRequest(method, f"/{path}", params={**query, **options.pop("params", {})}, **options)
    response: HttpResponse = client.send_request(request)
    return response
