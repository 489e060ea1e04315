"""The addresses that commands listen on: an unusable one is reported before anything is loaded for it."""

import errno
import socket
from contextlib import ExitStack

import click

from orders_sync.model.errors import UserFacingError

PORT = click.IntRange(1, 65535)
"""The type of a port's option. Port 0 would be any free one, which nobody could find."""
BACKLOG = 128
"""Connections that wait until the server accepts them."""


class AddressError(UserFacingError):
    """Nothing can listen on an address; the text says why, and which option names another one."""


def listening_sockets(host: str, port: int, user: str, option: str = "--port") -> list[socket.socket]:
    """Sockets that listen on all addresses of a host; '' means all addresses of this machine.

    `user`: what needs them. `option`: the one that chooses another port. Raises AddressError.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise AddressError(f"The host {host!r} is not known. `--host` names an address of this machine.") from None
    problem: AddressError | None = None
    with ExitStack() as opened:
        sockets: list[socket.socket] = []
        for family, _, _, _, address in sorted(set(found)):
            try:
                sockets.append(opened.enter_context(_listening(family, address)))
            except OSError as error:
                problem = AddressError(_reason(error, host, port, user, option))
                # A name like localhost may have addresses that this machine lacks, e.g. of IPv6.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise problem from None
        if not sockets:
            raise problem or AddressError(f"The host {host!r} has no address.")
        opened.pop_all()
        return sockets


def check_is_free(host: str, port: int, user: str, option: str = "--port") -> None:
    """Raises AddressError if nothing can listen there now; the arguments are those of `listening_sockets`."""
    for each in listening_sockets(host, port, user, option):
        each.close()


def _listening(family: int, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
        made.bind(address)
        made.listen(BACKLOG)  # until then, another process may bind the same port
    except OSError:
        made.close()
        raise
    return made


def _reason(error: OSError, host: str, port: int, user: str, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port}, which {user} needs, is in use. Is orders-sync running already? `{option}` chooses another "
            "port."
        )
    if error.errno == errno.EACCES:
        return f"This user may not open port {port}, which {user} needs. `{option}` chooses another port, e.g. 3000."
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return f"{host} is not an address of this machine. `--host` names one; 127.0.0.1 serves this machine only."
    return f"{user[:1].upper()}{user[1:]} can't listen on {host}, port {port}: {error.strerror}."
