"""The rules by which both web servers recognise what pages of somebody else send; `web/test_guard.py` has the rest."""

import pytest
from starlette.datastructures import Headers

from orders_sync.model.foreign_requests import foreign_page, host_name


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("Example.com:80", "example.com"), ("[::1]:3000", "::1"), ("localhost:", "localhost"), ("a@b", None),
        ("localhost:x", None), ("localhost/x", None), ("localhost?", None), ("[::1", None), ("", None),
    ],
)  # fmt: skip
def test_the_host_of_a_header(authority: str, host: str | None) -> None:
    assert host_name(authority) == host


@pytest.mark.parametrize(
    ("method", "headers", "is_foreign"),
    [
        ("POST", {}, False),
        ("POST", {"origin": "http://localhost:8000"}, False),
        ("POST", {"origin": "http://localhost:3000"}, True),
        ("POST", {"origin": "null"}, True),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, True),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, False),
        ("POST", {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, True),
    ],
)
def test_what_a_page_of_another_origin_sends(method: str, headers: dict[str, str], is_foreign: bool) -> None:
    assert (foreign_page("http", method, Headers({"host": "localhost:8000", **headers})) is not None) == is_foreign
