"""Connections to addresses of the public internet only: a URL of a document must not reach into our own network."""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpcore

from orders_sync.model.errors import OrdersSyncError

_NAT64 = IPv6Network("64:ff9b::/96")
"""Addresses that stand for IPv4 addresses where there is no IPv4 (RFC 6052)."""
_NOT_PUBLIC = (
    IPv6Network("64:ff9b:1::/48"),  # IPv4 addresses of one's own network (RFC 8215)
    IPv6Network("fec0::/10"),  # site-local addresses, which are deprecated (RFC 3879)
    IPv6Network("::/96"),  # IPv4-compatible addresses, which are deprecated (RFC 4291, 2.5.5.1)
)
"""Networks that Python counts as global, and that lead into one's own network where something still knows them."""


class PrivateAddressError(OrdersSyncError):
    """A host has an address that is private, of this machine, or otherwise not of the public internet."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also as the IPv4 address that it stands for."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        if any(parsed in network for network in _NOT_PUBLIC):
            return False
        parsed = _inner(parsed) or parsed
    return parsed.is_global and not parsed.is_multicast


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def addresses_of(host: str, port: int) -> list[str]:
    """The IP addresses of a host. Raises OSError if it has none, or can't be looked up."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class PublicAddressesOnly(httpcore.SyncBackend):
    """Opens connections to hosts all of whose addresses are public.

    It connects to the address that it has checked: between a check and a second look-up, the name could change.
    """

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Raises PrivateAddressError for a host with any other address."""
        try:
            addresses = addresses_of(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        if not all(map(is_public, addresses)):
            raise PrivateAddressError
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError("it has no address")
        for address in addresses:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure
