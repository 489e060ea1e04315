"""Links in a marketplace's answers: followed on the account's own host only, since a request carries its credential."""

import re
from functools import lru_cache
from typing import NamedTuple

import httpx

from orders_sync.marketplaces.kit.errors import IncompleteListError
from orders_sync.model.shown_ids import shown_id

#: What no URL contains (RFC 3986), and some programs read as "/" or leave out.
_NEVER_IN_A_URL = re.compile(r"[\\\s\x00-\x1f\x7f]")
_NO_LINK = (
    "The marketplace's list names its next page by a text that is no URL, no path that begins with '/', and no query "
    "that begins with '?': not followed."
)


class Origin(NamedTuple):
    """Where a request goes, and as whom."""

    scheme: str
    host: str
    """In lower case."""
    port: int | None
    """None: the scheme's own."""
    user: str
    """User and password of the URL; httpx would send them in place of the account's credential."""


def read_url(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """A URL of an answer, or a reference that is resolved against `base`. Raises ValueError for a text that is none.

    httpx accepts some hosts, e.g. `xn--zz--.example`, and raises IDNAError once they are read.
    """
    try:
        url = httpx.URL(text) if base is None else base.join(text)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    _ = url.host
    return url


def origin(url: httpx.URL) -> Origin:
    """The origin of a URL."""
    return Origin(url.scheme, url.host, url.port, url.userinfo.decode())


@lru_cache(maxsize=100)  # each request compares its URL with the account's own
def origin_of(base_url: str) -> Origin:
    """The origin of an account's `base_url`."""
    return origin(httpx.URL(base_url))


def path_of_link(link: str, base_url: str, path: str = "/") -> str:
    """The path and query of a link to the next page, to be requested at the account's own `base_url`.

    `path`: of the page that has the link, below `base_url`; the link is resolved against it (RFC 3986, 5.2). Raises
    IncompleteListError for a link that leads to another scheme, host or port, that names a user, or that leads out of
    the path of `base_url`, and for a text that is no link: no URL, no path that begins with "/", and no query. A text
    such as `2` could be a relative path as well as a page number or a token.
    """
    base = httpx.URL(base_url.rstrip("/"))
    if _NEVER_IN_A_URL.search(link) or not re.match(r"https?://[^/?#]|[/?]", link, re.IGNORECASE):
        raise IncompleteListError(_NO_LINK)
    try:
        target = read_url(link, httpx.URL(f"{base}{path}"))
    except ValueError:
        raise IncompleteListError(_NO_LINK) from None
    if target.host != base.host:
        raise IncompleteListError(
            f"The marketplace's list goes on at another host ({shown_id(target.host)}): not followed."
        )
    if origin(target) != origin(base):
        raise IncompleteListError(
            f"The marketplace's list goes on at {base.host} by another scheme, port or user: not followed."
        )
    below = target.raw_path.decode()
    prefix = base.raw_path.decode().rstrip("/")
    if not below.startswith(f"{prefix}/"):
        raise IncompleteListError(
            "The marketplace's list goes on at a path that is not below that of the account's base_url: not followed."
        )
    return below.removeprefix(prefix)
