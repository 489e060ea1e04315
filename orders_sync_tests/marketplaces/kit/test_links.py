"""Links of a marketplace: whatever it answers, no request with the account's credential goes to another host."""

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orders_sync.marketplaces.kit.errors import IncompleteListError
from orders_sync.marketplaces.kit.links import origin, path_of_link

BASE = "https://api.example.com/shop"


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("https://api.example.com/shop/orders?page=2", "/orders?page=2"),
        ("HTTPS://API.example.com:443/shop/orders?page=2#top", "/orders?page=2"),
        ("//api.example.com/shop/orders?page=2", "/orders?page=2"),
        ("/shop/orders?page=2", "/orders?page=2"),
        ("/shop/v2/../orders?page=2", "/orders?page=2"),
        ("/shop/orders?after=%2F%40x", "/orders?after=%2F%40x"),
        ("?page=2", "/orders?page=2"),
    ],
)
def test_a_link_is_followed_on_the_accounts_own_host(link: str, path: str) -> None:
    assert path_of_link(link, BASE, "/orders?page=1") == path
    assert path_of_link(link, BASE + "/", "/orders?page=1") == path


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("https://evil.example.com/shop/orders", "evil.example.com"),
        ("//evil.example.com/shop/x", "evil.example.com"),
        ("https://api.example.com@evil.example.com/shop/x", "evil.example.com"),
        ("https://api.example.com.evil.example.com/shop/x", "api.example.com.evil.example.com"),
        ("https://[x/shop/x", "odd-id-[0-9a-f]{8}"),
    ],
)
def test_a_link_to_another_host_is_not_followed(link: str, host: str) -> None:
    with pytest.raises(IncompleteListError, match=rf"goes on at another host \({host}\): not followed"):
        path_of_link(link, BASE)


@pytest.mark.parametrize(
    "link",
    [
        "https://api.example.com:8443/shop/x",
        "http://api.example.com/shop/x",
        "https://me:secret@api.example.com/shop/x",
    ],
)
def test_a_link_by_another_scheme_or_port_or_as_another_user_is_not_followed(link: str) -> None:
    with pytest.raises(IncompleteListError, match=r"at api\.example\.com by another scheme, port or user") as error:
        path_of_link(link, BASE)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("link", ["/shopping/orders", "/orders", "/shop/../orders", "/"])
def test_a_link_out_of_the_base_urls_path_is_not_followed(link: str) -> None:
    with pytest.raises(IncompleteListError, match="a path that is not below that of the account's base_url"):
        path_of_link(link, BASE)


@pytest.mark.parametrize(
    "link",
    [
        "@evil.example.com/x", ".evil.example.com/x", "2", "orders?page=2", "javascript:alert(1)", "https:///x",
        "/\\evil.example.com/x", "\\\\evil.example.com/x", "/\tx", "/shop/x\r\nHost: evil", " https://evil.example.com", "",
        "https://xn--zz--.example/shop/x",
    ],
)  # fmt: skip
def test_a_text_that_is_no_link_is_not_followed(link: str) -> None:
    """Glued to the base URL, it could be another host, and get the account's credential."""
    with pytest.raises(IncompleteListError, match="a text that is no URL, no path that begins with '/', and no query"):
        path_of_link(link, BASE)


_PARTS = st.sampled_from(
    ["https://", "http://", "//", "/", "\\", "@", ":", ".", "..", "?", "#", "%2f", "%40", "%00", "\t", "\n", "\x00", " ", "[", "]",
     "api.example.com", "evil.example.com", "localhost", "443", "8443", "shop", "orders", "\u3002", "\uff0f", "\u2028", "\ud83d"]
)  # fmt: skip
_LINKS = st.one_of(st.text(), st.lists(_PARTS, max_size=12).map("".join))
_BASES = st.sampled_from([BASE, "https://api.example.com", "http://127.0.0.1:8080", "http://[::1]:8080/api/v1"])


@given(_LINKS, _BASES, st.sampled_from(["/", "/orders", "/v1/orders?limit=50", "/a/b/c?d=/e"]))
@example("@localhost:8080/v1/orders?c=1", "http://127.0.0.1:8080", "/")
@example("//evil.example.com", BASE, "/")
def test_no_link_whatever_it_is_leads_a_request_elsewhere(link: str, base_url: str, page: str) -> None:
    try:
        path = path_of_link(link, base_url, page)
    except IncompleteListError:
        return
    requested = httpx.URL(base_url + path)
    assert path.startswith("/")
    assert origin(requested) == origin(httpx.URL(base_url))
    assert requested == httpx.URL(base_url + page).join(link).copy_with(fragment=None)
