"""Ids in messages: as they are, unless they are longer or odder than an id."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders_sync.model import known_credentials
from orders_sync.model.known_credentials import KnownCredentials, note_credential
from orders_sync.model.shown_ids import MAX_SHOWN, shown_id, shown_path


@pytest.mark.parametrize("value", ["1", "order_01J9ZK:7", "12345678-A", "urn:x/9#2", ""])
def test_an_id_is_shown_as_it_is(value: str) -> None:
    assert shown_id(value) == value


def test_of_a_long_id_the_beginning_is_shown() -> None:
    assert shown_id("9" * 10_000) == "999999999999…"


@pytest.mark.parametrize(
    "value", ["victor@example.com", "Victor Hugo", "+33 6 39 98", "<b>x</b>", "a\nb", "a\x1b", "\ud800"]
)
def test_of_an_odd_id_nothing_is_shown(value: str) -> None:
    shown = shown_id(value)
    assert shown.startswith("odd-id-")
    assert shown == shown_id(value)
    assert value not in shown


def test_a_credential_as_an_id_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_credentials, "_KNOWN", KnownCredentials())
    note_credential("a-token-of-ours-1234")
    assert shown_id("x/a-token-of-ours-1234") == "***"


@given(st.text(st.characters()))
def test_whatever_an_id_is_it_is_short_and_can_be_printed(value: str) -> None:
    shown = shown_id(value)
    assert len(shown) <= MAX_SHOWN
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/ws/orders/17", "/ws/orders/17"),
        ("/ws/orders?email=x", "/ws/orders"),
        (f"/ws/orders/{'9' * 70}/x", "/ws/orders/999999999999…/x"),
        ("/refb.merchant.v1.OrderService/ListOrders", "/refb.merchant.v1.OrderService/ListOrders"),
    ],
)
def test_a_path_is_shown_without_its_query_and_with_short_parts(path: str, shown: str) -> None:
    assert shown_path(path) == shown


def test_an_odd_part_of_a_path_is_not_shown() -> None:
    assert shown_path("/orders/victor%40example.com/note").startswith("/orders/odd-id-")
