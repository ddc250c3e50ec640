"""Which addresses a rule may call, judged at the moment of dialling, so that no name can slip past."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp.abc import AbstractResolver, ResolveResult

# Metadata and platform services of the clouds that have addresses outside of the link-local range.
_NEVER = {
    ip_address("168.63.129.16"),  # Azure
    ip_address("100.100.100.200"),  # Alibaba Cloud
    ip_address("192.0.0.192"),  # Oracle Cloud
    ip_address("fd00:ec2::254"),  # AWS
    ip_address("fd20:ce::254"),  # Google Cloud
}
_PRIVATE = [ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")]
_NAT64 = ip_network("64:ff9b::/96")
# Not public, whatever a version of Python says of them: site-local, and the translation prefix for local use,
# in which the inner address may stand anywhere.
_NOT_PUBLIC = [ip_network("fec0::/10"), ip_network("64:ff9b:1::/48")]


class ForbiddenAddress(OSError):
    """The address that a connection was about to be made to is not one that rules may call."""


class AddressPolicy:
    """Public addresses always; private and loopback ones by setting; link-local, metadata, multicast never."""

    def __init__(self, *, allow_private: bool = False, allow_loopback: bool = False) -> None:
        self._allow_private = allow_private
        self._allow_loopback = allow_loopback

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        inner = _embedded(address)
        if inner is not None:
            return self.allows(inner)
        if address in _NEVER or address.is_link_local or address.is_multicast or address.is_unspecified:
            return False
        if address.is_loopback:
            return self._allow_loopback
        if any(address in network for network in _PRIVATE):
            return self._allow_private
        if any(address in network for network in _NOT_PUBLIC):
            return False
        return address.is_global and not address.is_reserved

    def open_socket(
        self, info: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
    ) -> socket.socket:
        """The connector's socket factory: it gets each address just before that very address is dialled."""
        family, kind, protocol, _, name = info
        if not self.allows(_parse(str(name[0]))):
            raise ForbiddenAddress("forbidden address")
        return socket.socket(family, kind, protocol)


@lru_cache(maxsize=256)
def _parse(text: str) -> IPv4Address | IPv6Address:
    return ip_address(text.partition("%")[0])


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return None


class OwnThreadsResolver(AbstractResolver):
    """Resolves names in threads of its own: a name server that hangs takes none from storage and events."""

    def __init__(self, threads: int = 8) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="rule-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for found_family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
