"""Versions of one order, of every adapter: the newest that can be stored counts, and what is known stays."""

import json
from collections.abc import Iterator
from typing import cast

import pytest

from orders_sync.database.engine import Connection
from orders_sync_tests.marketplaces.odd_shop import CREATED_KEYS, FORMS, SKU_KEYS, Record, Shop, at, open_shop


@pytest.fixture(params=tuple(FORMS))
def shop(request: pytest.FixtureRequest, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with open_shop(cast(str, request.param), connection, monkeypatch) as shop:
        yield shop


def _broken(record: Record) -> str:
    return json.dumps(record)[:-1] + ', "total": 12,50}'


@pytest.mark.parametrize("first", ["usable", "unusable"])
@pytest.mark.parametrize("how", ["broken JSON", "a line without its id"])
def test_a_version_that_cannot_be_stored_takes_the_place_of_no_other(shop: Shop, how: str, first: str) -> None:
    """The newest usable one is stored. One that came after it is rejected as well, and the list goes on."""
    good = shop.form.order
    bad = _broken(good) if how == "broken JSON" else shop.form.with_line(**{shop.form.line_id: None})
    summary = shop.sync(*((good, bad) if first == "usable" else (bad, good)))
    assert (shop.orders(), shop.locks()) == (["1"], {"11": "locked"})
    assert shop.rejected() == (["1"] if first == "usable" else [])
    assert summary.created == 1


def test_a_version_that_is_right_again_ends_the_rejection(shop: Shop) -> None:
    """Also where it is the stored version: nothing of it is written."""
    shop.sync(shop.form.order, _broken(shop.form.order))
    assert shop.rejected() == ["1"]
    shop.sync(shop.form.order)
    assert shop.rejected() == []


@pytest.mark.parametrize("is_stored", [True, False])
def test_an_older_version_that_is_listed_once_more_does_not_end_a_rejection(shop: Shop, is_stored: bool) -> None:
    """As a cache, or a replica that lags behind, lists it. The newer one is tried again."""
    if shop.form.modified is None:
        pytest.skip("the contract has no such time: each copy counts as it comes")
    older = {**shop.form.order, shop.form.modified: at(minutes=-30)}
    newer = {**shop.form.with_line(**{shop.form.line_id: None}), shop.form.modified: at(minutes=-5)}
    shop.sync(*([older] if is_stored else []), newer, sync_type="modified")
    assert shop.rejected() == ["1"]
    shop.sync(older, sync_type="modified")
    assert (shop.orders(), shop.rejected()) == (["1"], ["1"])
    shop.sync({**shop.form.order, shop.form.modified: at(minutes=-1)}, sync_type="modified")
    assert shop.rejected() == []


def test_a_version_without_lines_takes_the_place_of_no_other_where_the_order_is_not_stored(shop: Shop) -> None:
    sparse = {name: value for name, value in shop.form.order.items() if name != shop.form.lines}
    shop.sync(shop.form.order, sparse)
    assert shop.locks() == {"11": "locked"}


@pytest.mark.parametrize("hours", [0.2, 20, 23.9])
def test_a_modified_time_ahead_of_the_clock_hides_no_later_version(shop: Shop, hours: float) -> None:
    """Not even one that was modified before the wrong one was read."""
    if shop.form.modified is None:
        pytest.skip("the contract has no modified time")
    before = at(minutes=-1)
    assert shop.sync({**shop.form.order, shop.form.modified: at(hours=hours)}).flawed == 1
    shop.sync({**shop.form.cancelled_with(), shop.form.modified: before})
    assert shop.locks() == {"11": "released"}


def test_a_modified_time_within_the_trust_in_a_clock_is_no_flaw(shop: Shop) -> None:
    if shop.form.modified is None:
        pytest.skip("the contract has no modified time")
    assert shop.sync({**shop.form.order, shop.form.modified: at(minutes=4)}).flawed == 0


def test_two_versions_of_which_one_has_spaces_around_its_id_are_one_order(shop: Shop) -> None:
    shop.sync(shop.form.order, {**shop.form.order, shop.form.order_id: " 1"})
    assert (shop.orders(), shop.locks()) == (["1"], {"11": "locked"})


@pytest.mark.parametrize("sku", ["", "   ", None, "left out"])
def test_a_later_copy_without_the_sku_does_not_release_the_lock(shop: Shop, sku: str | None) -> None:
    """Not even where an adapter makes a SKU for items that have none."""
    shop.sync(shop.form.order)
    later = shop.form.with_line(**{SKU_KEYS[shop.marketplace]: sku})
    if sku == "left out":
        del later[shop.form.lines][0][SKU_KEYS[shop.marketplace]]
    if shop.form.modified is not None:
        later[shop.form.modified] = at(minutes=-5)
    shop.sync(later, sync_type="modified")
    assert shop.connection.execute("SELECT sku FROM order_items").fetchall() == [("PHONE",)]
    assert shop.connection.execute("SELECT sku, state FROM stock_locks").fetchall() == [("PHONE", "locked")]


@pytest.mark.parametrize("wrong", [None, "soon", "9999-12-31T00:00:00Z", "left out"])
def test_a_later_copy_without_the_creation_time_still_cancels(shop: Shop, wrong: str | None) -> None:
    """The time is needed to store an order for the first time only."""
    shop.sync(shop.form.order)
    later = {**shop.form.cancelled_with(), CREATED_KEYS[shop.marketplace]: wrong}
    if wrong == "left out":
        del later[CREATED_KEYS[shop.marketplace]]
    if shop.form.modified is not None:
        later[shop.form.modified] = at(minutes=-5)
    summary = shop.sync(later, sync_type="modified")
    assert (summary.rejected, summary.flawed) == (0, 1)
    assert shop.locks() == {"11": "released"}
    assert shop.connection.execute("SELECT created_at < now() FROM orders").fetchall() == [(True,)]


@pytest.mark.parametrize("wrong", [None, "many", "left out"])
def test_a_later_copy_without_the_quantity_keeps_the_one_that_is_known(shop: Shop, wrong: str | None) -> None:
    if shop.form.quantity is None:
        pytest.skip("every line is one piece")
    shop.sync(shop.form.with_line(**{shop.form.quantity: 2}))
    later = shop.form.with_line(**{shop.form.quantity: wrong})
    if wrong == "left out":
        del later[shop.form.lines][0][shop.form.quantity]
    assert shop.form.modified is not None
    later[shop.form.modified] = at(minutes=-5)
    summary = shop.sync(later, shop.form.order | {shop.form.modified: at(minutes=-20)}, sync_type="modified")
    assert (summary.rejected, summary.flawed) == (0, 1)
    assert shop.items() == {"11": ("accepted", 2)}


def test_a_new_item_without_a_quantity_still_rejects_the_copy(shop: Shop) -> None:
    """Nothing is known of it: what to lock can't be guessed."""
    if shop.form.quantity is None:
        pytest.skip("every line is one piece")
    shop.sync(shop.form.order)
    [line] = shop.form.order[shop.form.lines]
    later = shop.form.with_lines({**line, shop.form.line_id: "12", shop.form.quantity: None})
    assert shop.form.modified is not None
    later[shop.form.modified] = at(minutes=-5)
    assert shop.sync(later, sync_type="modified").rejected == 1
    assert shop.locks() == {"11": "locked"}


@pytest.mark.parametrize("sku", ["", "   ", None])
@pytest.mark.parametrize(("marketplace", "made"), [("refurbed", "offer-7"), ("medusa", "variant-v1")])
def test_an_item_that_never_had_a_sku_has_one_that_is_made(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, marketplace: str, made: str, sku: str | None
) -> None:
    with open_shop(marketplace, connection, monkeypatch) as shop:
        shop.sync(shop.form.with_line(**{SKU_KEYS[marketplace]: sku}))
        assert shop.connection.execute("SELECT sku FROM order_items").fetchall() == [(made,)]
        shop.sync({**shop.form.order, shop.form.modified or "note": at(minutes=-5)})
        assert shop.connection.execute("SELECT sku FROM order_items").fetchall() == [("PHONE",)]


def test_a_clock_that_is_hours_behind_lets_no_older_copy_replace_a_newer_one(shop: Shop) -> None:
    """The orders' own times are right: by the marketplace's clock, they would lie in the future."""
    if shop.form.modified is None:
        pytest.skip("the contract has no such time: each copy counts as it comes")
    shop.hours_ahead = -10
    older = {**shop.form.order, shop.form.modified: at(minutes=-30)}
    newer = {**shop.form.cancelled_with(), shop.form.modified: at(minutes=-5)}
    for record in (older, newer, {**older, "note": "the same version, read again"}):
        summary = shop.sync(record, sync_type="modified")
    assert set(shop.locks().values()) == {"released"}
    assert summary.flawed == 0
