"""The settings of the web process: under which hosts it is reached, and the passwords that it asks for."""

import os
import re
import stat
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from orders_sync.config.environment import (
    UI_EDITORS,
    UI_HOSTS,
    UI_PASSWORD_FILE,
    UI_PROXY_PASSWORD_FILE,
    UI_READER_PASSWORD_FILE,
    EnvironmentVariableError,
)
from orders_sync.model.known_credentials import note_credential

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
ANY_ADDRESS = (str(IPv4Address(0)), str(IPv6Address(0)), "")
"""Addresses to listen on that are no hosts to be reached under."""
MIN_PASSWORD_LENGTH = 12
"""Characters. With the limit of attempts (login.py), guessing such a password takes longer than anyone can wait."""
MIN_PROXY_PASSWORD_LENGTH = 32
"""Characters. No limit of attempts protects it, since that would shut out all users of the proxy: it must be random."""
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f]*:[0-9a-f:.]*")
"""A name or an address, in lower case."""


@dataclass(frozen=True)
class WebSettings:
    """What the web process is started with."""

    port: int = 3000
    allowed_hosts: frozenset[str] = frozenset(LOCAL_HOSTS)
    """The hosts under which browsers reach it, in lower case, without a port."""
    password: str | None = None
    """What a user enters to log in; None: nobody has to."""
    reader_password: str | None = None
    """What a user enters who may see everything and change nothing; None: there are no such users."""
    proxy_password: str | None = None
    """What a proxy sends with the name of each user who has logged in there; None: there is no such proxy."""
    editors: frozenset[str] = frozenset()
    """The proxy's users who may change things; empty: all may."""


def web_settings(host: str, port: int) -> WebSettings:
    """The settings by the environment, for a server that listens on `host`.

    Raises EnvironmentVariableError if a variable can't be used.
    """
    allowed = {*LOCAL_HOSTS, *_named_hosts()} | ({host.lower()} - {*ANY_ADDRESS})
    password = _password(UI_PASSWORD_FILE, os.environ.get(UI_PASSWORD_FILE))
    reader_password = _password(UI_READER_PASSWORD_FILE, os.environ.get(UI_READER_PASSWORD_FILE))
    if reader_password is not None and password in (None, reader_password):
        problem = "is not set, so everyone could change everything" if password is None else "holds the same password"
        raise EnvironmentVariableError(
            f"{UI_READER_PASSWORD_FILE} is set, but {UI_PASSWORD_FILE} {problem}. Let it name a file with another "
            "password. Nothing is served."
        )
    proxy_password = _password(
        UI_PROXY_PASSWORD_FILE, os.environ.get(UI_PROXY_PASSWORD_FILE), at_least=MIN_PROXY_PASSWORD_LENGTH
    )
    editors = _names(os.environ.get(UI_EDITORS))
    if editors and proxy_password is None:
        raise EnvironmentVariableError(
            f"{UI_EDITORS} is set, but {UI_PROXY_PASSWORD_FILE} is not: nobody is known by name without a proxy "
            "that names its users. Nothing is served."
        )
    return WebSettings(port, frozenset(allowed), password, reader_password, proxy_password, frozenset(editors))


def _names(value: str | None) -> set[str]:
    return {name.strip() for name in (value or "").split(",")} - {""}


def _named_hosts() -> set[str]:
    names = {name.lower() for name in _names(os.environ.get(UI_HOSTS))}
    for name in sorted(names):
        if not _HOST.fullmatch(name):
            raise EnvironmentVariableError(
                f"{UI_HOSTS} names {name!r}; allowed are hosts without scheme, port and path, separated by commas, "
                "e.g. orders.example.com"
            )
    return names


def _password(variable: str, name: str | None, *, at_least: int = MIN_PASSWORD_LENGTH) -> str | None:
    """The password in the file that a variable names; None: the variable is not set."""
    if not name:
        return None
    file = Path(name).expanduser()
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        password = file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise EnvironmentVariableError(
            f"{variable} names {name}, which can't be read: {reason}. Nothing is served."
        ) from None
    if mode & 0o077:
        raise EnvironmentVariableError(
            f"{variable} names {name}, which others can read or change (mode {mode:04o}). Allowed are the "
            f"modes 0600 and 0400: chmod 600 {name}. Nothing is served."
        )
    if len(password) < at_least:
        raise EnvironmentVariableError(
            f"The password in {name} has {len(password)} characters; allowed are at least {at_least}. "
            "Nothing is served."
        )
    note_credential(password)
    return password
