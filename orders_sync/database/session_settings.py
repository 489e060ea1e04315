"""What every session at the orders database is set to, so that no dead host and no foreign lock keeps one for hours.

A host that loses power or network leaves its session at the server, with its locks, until the kernel's keepalive ends
it: by default after 2 h 11 min. Here both ends notice it within half a minute. Any user may change these settings.
"""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict, make_conninfo

KEEPALIVE_IDLE_SECONDS = 10
"""After so long without traffic, the kernel asks whether the other end is still there."""
KEEPALIVE_INTERVAL_SECONDS = 5
KEEPALIVE_COUNT = 2
"""So many questions without an answer end the connection."""
USER_TIMEOUT_MILLISECONDS = 20_000
"""Data that the other end has not acknowledged for so long ends the connection (Linux)."""
LOCK_SECONDS = 60
"""How long a statement waits for a lock. Then it fails, and the error names who may hold it (`problems`)."""
STATEMENT_MINUTES = 30
"""How long one statement may take. Those of passes and stock take seconds."""
IDLE_IN_TRANSACTION_SECONDS = 120
"""How long a transaction may stay open without a statement: the server ends the session of a frozen process."""

_CLIENT: Mapping[str, int] = {
    "keepalives": 1,
    "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
    "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
    "keepalives_count": KEEPALIVE_COUNT,
    "tcp_user_timeout": USER_TIMEOUT_MILLISECONDS,
}
"""libpq's parameters for this end (PostgreSQL's documentation, Parameter Key Words)."""
_NETWORK: Mapping[str, str] = {
    "tcp_keepalives_idle": f"{KEEPALIVE_IDLE_SECONDS}",
    "tcp_keepalives_interval": f"{KEEPALIVE_INTERVAL_SECONDS}",
    "tcp_keepalives_count": f"{KEEPALIVE_COUNT}",
    "tcp_user_timeout": f"{USER_TIMEOUT_MILLISECONDS}",
}
"""The server's settings for its end. They change nothing at a Unix socket."""
CONNECTION_CHECK = "client_connection_check_interval"
"""While it executes a statement, the server looks so often whether we are still there. Not on every system."""
_LIMITS: Mapping[str, str] = {
    CONNECTION_CHECK: "10s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "statement_timeout": f"{STATEMENT_MINUTES}min",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
}
_PLANS: Mapping[str, str] = {"jit": "off"}
"""A server with LLVM compiles queries that it takes for expensive, and it takes those for it that look rows up by keys
only: the search for wrong locks then took 18 s for 57 orders, instead of 0.03 s."""


def connection_string(url: str) -> str:
    """A URL as libpq's connection string, with the settings of this end of the network but for those that it has.

    Raises psycopg.ProgrammingError for a URL that can't be read.
    """
    return make_conninfo(url, **_missing(url))


def server_settings(url: str) -> dict[str, str]:
    """The server's settings for a session, without those that `options` of the URL sets itself. Raises as above."""
    options = str(conninfo_to_dict(url).get("options") or "")
    return {
        name: value for name, value in (*_NETWORK.items(), *_LIMITS.items(), *_PLANS.items()) if name not in options
    }


def with_settings(url: str) -> str:
    """A URL with the settings of both ends of the network in it, for a program that opens the connections itself.

    A pooler may refuse `options` at the start of a session, so they are left out if the URL has some, even empty ones.
    """
    parameters = _missing(url)
    if "options" not in conninfo_to_dict(url):
        idle = "idle_in_transaction_session_timeout"
        parameters["options"] = " ".join(
            f"-c {name}={value}" for name, value in (*_NETWORK.items(), (idle, _LIMITS[idle]))
        )
    return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters, quote_via=quote)}" if parameters else url


def _missing(url: str) -> dict[str, str]:
    """libpq's parameters for this end of a connection, without those that the URL sets itself."""
    named = conninfo_to_dict(url)
    return {name: str(value) for name, value in _CLIENT.items() if name not in named}
