"""Who sends a request, and whether that user may change anything: what the login has found out.

It goes along with the request: for the pages and for Dagster's context in its scope, for Dagster's run coordinator as a
header, which is the only way to it that Dagster documents (percent-encoded, since a header has Latin letters only).
"""

import base64
import hmac
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import Scope

from orders_sync.config.pages import USER_HEADER

MAX_NAME_LENGTH = 100
_KEY = "orders_sync.user"


class User(NamedTuple):
    """Who sends a request."""

    name: str | None = None
    """As the proxy names the user; None: nobody is known by name."""
    reads_only: bool = False
    """Whether the user may see everything, and change nothing."""


def with_user(scope: Scope, user: User) -> Scope:
    """The request as one of this user. A header of the client's own that names a user is left out."""
    headers = [(name, value) for name, value in scope["headers"] if name.lower() != USER_HEADER.encode()]
    if user.name is not None:
        headers.append((USER_HEADER.encode(), quote(user.name).encode()))
    return {**scope, "headers": headers, _KEY: user}


def user_of(scope: Scope) -> User:
    """Who sends the request; where there is no login, somebody who may do everything."""
    return scope.get(_KEY) or User()


def basic_credentials(headers: Headers) -> tuple[str, bytes] | None:
    """The name and the password of HTTP basic authentication (RFC 7617); None: none that can be read."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(credentials.strip(), validate=True).partition(b":")
        return name.decode(), password
    except ValueError:  # no base64, or no UTF-8
        return None


class ProxyUsers:
    """The users that a proxy has logged in: it names them by HTTP basic authentication (RFC 7617).

    The password is the proxy's, not the user's: it shows that the request comes from the proxy.
    """

    def __init__(self, password: str, editors: Collection[str] = ()) -> None:
        """`editors`: the users who may change things, all others only read; empty: all may."""
        self._password = password.encode()
        self._editors = frozenset(editors)

    def of(self, headers: Headers) -> User | None:
        """The user whom the proxy names; None: the request does not come from the proxy."""
        found = basic_credentials(headers)
        if found is None:
            return None
        known_as, password = found
        if not hmac.compare_digest(password, self._password):
            return None
        if not known_as.strip() or not known_as.isprintable() or len(known_as) > MAX_NAME_LENGTH:
            return None
        return User(known_as, reads_only=bool(self._editors) and known_as not in self._editors)
