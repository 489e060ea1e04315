"""Odd records of every adapter: each order that can ship is stored and locked."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from orders_sync.database.engine import Connection
from orders_sync_tests.marketplaces.odd_shop import CREATED_KEYS, FORMS, Shop, open_shop


@pytest.fixture(params=tuple(FORMS))
def shop(request: pytest.FixtureRequest, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with open_shop(cast(str, request.param), connection, monkeypatch) as shop:
        yield shop


def test_a_record_without_its_own_id_is_filed_under_that_of_no_other_order(shop: Shop) -> None:
    """Not even if one of its lines has the id of an order."""
    nameless = {**shop.form.with_line(**{shop.form.line_id: "1"}), shop.form.order_id: None}
    shop.sync(shop.form.order, nameless)
    assert (shop.orders(), shop.locks()) == (["1"], {"11": "locked"})
    [key] = shop.rejected()
    assert key.startswith("hash:")


_QUANTITIES = (-1, 0.5, None, "", [], 1e30)


@pytest.mark.parametrize("quantity", _QUANTITIES, ids=repr)
def test_a_discount_needs_no_quantity(shop: Shop, quantity: Any) -> None:
    name = shop.form.quantity or "quantity"
    shop.sync(shop.form.with_lines({**shop.form.discount, name: quantity}))
    assert shop.locks() == {"11": "locked"}
    assert shop.items()["19"] == ("accepted", 0 if shop.form.quantity else 1)


def test_a_discount_without_an_id_is_left_out(shop: Shop) -> None:
    summary = shop.sync(shop.form.with_lines({**shop.form.discount, shop.form.line_id: None}))
    assert (list(shop.items()), shop.locks()) == (["11"], {"11": "locked"})
    assert summary.flawed == 1


def test_a_null_among_the_lines_is_left_out_and_removes_no_stored_item(shop: Shop) -> None:
    [line] = shop.form.order[shop.form.lines]
    shop.sync(shop.form.with_lines({**line, shop.form.line_id: "12"}))
    assert shop.locks() == {"11": "locked", "12": "locked"}
    summary = shop.sync(shop.form.with_lines(None))
    assert shop.locks() == {"11": "locked", "12": "locked"}
    assert summary.flawed == 1


@pytest.mark.parametrize("quantity", _QUANTITIES, ids=repr)
def test_a_cancelled_line_without_a_quantity_releases_its_lock(shop: Shop, quantity: Any) -> None:
    shop.sync(shop.form.order)
    shop.sync(shop.form.cancelled_with(**({shop.form.quantity: quantity} if shop.form.quantity else {})))
    assert (shop.items(), shop.locks()) == ({"11": ("cancelled", 1)}, {"11": "released"})


@pytest.mark.parametrize("quantity", _QUANTITIES, ids=repr)
def test_goods_to_be_shipped_need_a_quantity(shop: Shop, quantity: Any) -> None:
    if shop.form.quantity is None:
        pytest.skip("every line is one piece")
    shop.sync(shop.form.with_line(**{shop.form.quantity: quantity}))
    assert (shop.orders(), shop.rejected()) == ([], ["1"])


@pytest.mark.parametrize("space", [" ", "\t", "\r\n"], ids=repr)
def test_ids_that_differ_only_in_spaces_are_one(shop: Shop, space: str) -> None:
    spaced = {**shop.form.with_line(**{shop.form.line_id: f"{space}11"}), shop.form.order_id: f"1{space}"}
    shop.sync(shop.form.order)
    assert shop.sync(spaced).flawed == 1
    assert (shop.orders(), shop.items()) == (["1"], {"11": ("accepted", 1)})


def _with_unix_times(value: Any, milliseconds: bool) -> Any:
    if isinstance(value, dict):
        return {name: _with_unix_times(inner, milliseconds) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_unix_times(inner, milliseconds) for inner in value]
    if isinstance(value, str) and value.endswith("Z"):
        seconds = int(datetime.fromisoformat(value).timestamp())
        return seconds * 1000 if milliseconds else str(seconds)
    return value


@pytest.mark.parametrize("milliseconds", [False, True])
def test_an_order_whose_times_are_unix_times_is_stored_and_locked(shop: Shop, milliseconds: bool) -> None:
    summary = shop.sync(_with_unix_times(shop.form.order, milliseconds))
    assert (shop.orders(), shop.locks(), summary.flawed) == (["1"], {"11": "locked"}, 1)
    rows = shop.connection.execute("SELECT created_at FROM orders").fetchall()
    assert abs(rows[0][0] - datetime.now(UTC)) < timedelta(hours=1)


def test_an_order_of_the_future_is_stored_with_a_flaw(shop: Shop) -> None:
    summary = shop.sync({**shop.form.order, CREATED_KEYS[shop.marketplace]: "2099-01-01T00:00:00Z"})
    assert (shop.locks(), summary.flawed) == ({"11": "locked"}, 1)


@pytest.mark.parametrize("odd", ["a\x00b", "\x00", "1\x00"])
def test_an_id_with_a_nul_rejects_its_order_alone(shop: Shop, odd: str) -> None:
    shop.sync({**shop.form.order, shop.form.order_id: odd}, shop.form.order)
    assert (shop.orders(), len(shop.rejected())) == (["1"], 1)


@pytest.mark.parametrize("pieces", [1_795_856_400_000, 10**400, -1])
@pytest.mark.parametrize("name", ["shipped_quantity", "delivered_quantity", "return_received_quantity"])
def test_pieces_that_can_not_be_are_a_flaw(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, name: str, pieces: int
) -> None:
    with open_shop("medusa", connection, monkeypatch) as shop:
        detail = shop.form.order["items"][0]["detail"]
        summary = shop.sync(shop.form.with_line(detail={**detail, name: pieces}))
        assert (shop.locks(), summary.flawed) == ({"11": "locked"}, 1)


def test_an_order_whose_states_are_written_in_another_way_is_locked(shop: Shop) -> None:
    """Texts only: Back Market's states are numbers."""

    def spelled(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: f" {inner.swapcase()}\n" if isinstance(inner, str) and ("state" in name or "status" in name) else
                spelled(inner)
                for name, inner in value.items()
            }  # fmt: skip
        return [spelled(inner) for inner in value] if isinstance(value, list) else value

    summary = shop.sync(spelled(shop.form.order))
    assert (shop.locks(), summary.flawed) == ({"11": "locked"}, int(shop.marketplace != "back_market"))


def test_a_quantity_that_is_a_number_to_python_alone_locks_nothing(shop: Shop) -> None:
    if shop.form.quantity is None:
        pytest.skip("every line is one piece")
    shop.sync(shop.form.with_line(**{shop.form.quantity: "1_0"}))
    assert (shop.orders(), shop.rejected()) == ([], ["1"])
