"""Which HTTP requests a browser sends for a page of somebody else: the rules of both of the project's web servers.

What is checked follows the OWASP cheat sheet "Cross-Site Request Forgery Prevention" (Origin, Fetch Metadata). A page
whose name resolves to this machine (DNS rebinding) has the right origin, and the wrong host.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers


def foreign_host(headers: Headers, known: Collection[str]) -> str | None:
    """Why the host that a request names is not one of the server's; None: it is.

    `known`: the hosts in lower case, without a port.
    """
    hosts = headers.getlist("host")
    if len(hosts) == 1 and host_name(hosts[0]) in known:
        return None
    named = ", ".join(repr(host[:100]) for host in hosts) or "none"
    return (
        f"this server is not known by the host that the request names ({named}). Known are {', '.join(sorted(known))}"
    )


def foreign_page(scope_type: str, method: str, headers: Headers) -> str | None:
    """Why a request comes from a page of another origin; None: nothing says so.

    `scope_type`: ASGI's, http or websocket. `method`: empty for a websocket.
    """
    return _problem_of_origin(headers) or _problem_of_fetch_metadata(scope_type, method, headers)


def host_name(authority: str) -> str | None:
    """The host in `host:port`, in lower case, without the brackets of an IPv6 address; None: it is not valid."""
    try:
        parts = urlsplit(f"//{authority}")
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return None
    return parts.hostname if parts.netloc == authority and parts.username is None else None


def _problem_of_origin(headers: Headers) -> str | None:
    """A browser names the page's origin in each websocket and each POST: it must be the server's own."""
    origins = headers.getlist("origin")
    if not origins:
        return None
    if len(origins) == 1 and _is_own(origins[0], headers["host"]):
        return None
    return f"it comes from a page of another origin ({origins[0][:100]!r})."


def _is_own(origin: str, host: str) -> bool:
    scheme, _, authority = origin.partition("://")
    default_port = {"http": ":80", "https": ":443"}.get(scheme)
    if default_port is None:
        return False
    return authority.lower().removesuffix(default_port) == host.lower().removesuffix(default_port)


def _problem_of_fetch_metadata(scope_type: str, method: str, headers: Headers) -> str | None:
    """Of what other pages cause, only a link that somebody follows passes. Old browsers send no such headers."""
    site = headers.get("sec-fetch-site")
    if site in (None, "same-origin", "none"):
        return None
    is_followed_link = (
        scope_type == "http"
        and method in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    return None if is_followed_link else "a page of another site has sent it."
