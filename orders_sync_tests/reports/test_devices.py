"""IMEIs and serial numbers: stored for each item with flaws, what ships without them, and what is sold twice."""

from datetime import timedelta
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.model.device_numbers import is_imei
from orders_sync.privacy.retention import blank_buyers_data
from orders_sync.reports.devices import Selection, devices, shipped_without, sold_twice
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.sync.order_changes import changes_of
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

PHONE, OTHER = "356938035643809", "490154203237518"


@pytest.fixture
def account(marketplace: Marketplace) -> SellerAccount:
    return sandbox_account(marketplace, require_device_numbers=True)


def shipped(marketplace: Marketplace, order_id: int, **numbers: Any) -> None:
    """An order of one line that has shipped, with these numbers."""
    order = an_order(marketplace, order_id, state=9, line_state=3, skus=("PHONE",))
    marketplace.put({**order, "orderlines": [{**line, **numbers} for line in order["orderlines"]]})


def flaws(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT record_id, field, found, stored FROM record_flaws ORDER BY 1, 2").fetchall()


def numbers(connection: Connection) -> dict[str, tuple[Any, Any]]:
    return {each.order_id: (each.imeis, each.serial_numbers) for each in devices(connection, Selection())}


def test_the_numbers_of_an_item_are_stored(
    connection: Connection, marketplace: Marketplace, account: SellerAccount
) -> None:
    shipped(marketplace, 1, imei=PHONE, serial_number='S"N\\1, {é}')
    shipped(marketplace, 2, imei="", serial_number=None)
    sync(account)
    assert numbers(connection) == {"1": ([PHONE], ['S"N\\1, {é}'])}
    assert [each.order_id for each in devices(connection, Selection(number=PHONE))] == ["1"]
    assert devices(connection, Selection(number=OTHER)) == []
    assert flaws(connection) == []


@pytest.mark.parametrize(
    ("written", "stored", "found", "how"),
    [
        ("35 693803/564380-9", PHONE, "has spaces or signs between its digits", "without them"),
        ("356938035643800", "356938035643800", "has a wrong check digit", "as it is"),
        ("000000000000000", "000000000000000", "is one digit, repeated", "as it is"),
        ("35693803564380", "35693803564380", "is no 15 digits", "as it is"),
        ("unknown", "unknown", "is no 15 digits", "as it is"),
        ("9" * 201, None, "is 201 characters long", "unknown"),
    ],
)
def test_an_imei_that_is_none_is_a_flaw_and_keeps_no_order_out(
    connection: Connection, marketplace: Marketplace, account: SellerAccount,
    written: str, stored: str | None, found: str, how: str,
) -> None:  # fmt: skip
    shipped(marketplace, 1, imei=written, serial_number="SN-1")
    assert sync(account).created == 1
    assert numbers(connection) == {"1": (None if stored is None else [stored], ["SN-1"])}
    assert flaws(connection) == [("1", "items[0].imeis", found, how)]


@pytest.mark.parametrize(
    ("fake", "settings"),
    [
        (FakeBackMarket, {}),
        (FakeRefurbed, {}),
        (FakeMirakl, {"imei_fields": ["imei"], "serial_number_fields": ["serial-number"]}),
    ],
)
def test_every_sandbox_gives_the_numbers_of_most_of_what_has_shipped(
    connection: Connection, fake: type[FakeMarketplace], settings: dict[str, Any]
) -> None:
    with Marketplace(fake, orders=80, days=10) as marketplace:
        account = sandbox_account(marketplace, require_device_numbers=True, **settings)
        sync(account)
        found, missing = devices(connection, Selection()), shipped_without(connection, {"shop": account})
    assert len(found) > 10
    assert 0 < len(missing) < len(found) / 5
    assert all(is_imei(imei) for each in found for imei in each.imeis or ())
    assert all(each.imeis and each.serial_numbers for each in found)
    assert not [flaw for flaw in flaws(connection) if "imeis" in flaw[1]]


def test_a_change_of_a_number_is_on_record_by_its_name_alone(
    connection: Connection, marketplace: Marketplace, account: SellerAccount
) -> None:
    shipped(marketplace, 1, imei=PHONE)
    sync(account)
    line = marketplace.world.scripted[1]["orderlines"][0]
    marketplace.pass_time(minutes=1)
    marketplace.change(1, orderlines=[{**line, "imei": OTHER}])
    sync(account, "modified")
    assert numbers(connection) == {"1": ([OTHER], None)}
    (change,) = [each for each in changes_of(connection, "shop", "1") if each.field == "imeis"]
    assert (change.item_id, change.before, change.after, change.is_named_only) == ("100", None, None, True)
    marketplace.pass_time(minutes=1)
    marketplace.change(1, orderlines=[{**line, "imei": ""}])
    sync(account, "modified")
    assert numbers(connection) == {"1": ([OTHER], None)}, "what an answer leaves out is not erased"


def test_what_shipped_without_a_number_is_found_where_the_account_requires_them(
    connection: Connection, marketplace: Marketplace, account: SellerAccount
) -> None:
    shipped(marketplace, 1, imei=PHONE)
    shipped(marketplace, 2, serial_number="SN-1")
    shipped(marketplace, 3)
    an_order(marketplace, 4)  # still to ship
    sync(account)
    assert [each.order_id for each in shipped_without(connection, {"shop": account})] == ["3"]
    assert shipped_without(connection, {"shop": sandbox_account(marketplace)}) == []
    connection.execute("UPDATE orders SET created_at = created_at - interval '4 months', modified_at = NULL")
    assert shipped_without(connection, {"shop": account}) == [], "`modified` does not read it any more"


@pytest.mark.parametrize(
    ("what", "reported"),
    [
        ("both have shipped", ["1", "2"]),
        ("the first is refunded", []),
        ("the first is cancelled", []),
        ("the first is replaced", []),
        ("its care record was cancelled", ["1", "2"]),
    ],
)
def test_an_imei_of_two_items_is_found_unless_one_came_back(
    connection: Connection, marketplace: Marketplace, account: SellerAccount, what: str, reported: list[str]
) -> None:
    shipped(marketplace, 1, imei=PHONE)
    shipped(marketplace, 2, imei=PHONE)
    shipped(marketplace, 3, imei=OTHER)
    if what == "the first is refunded":
        marketplace.set_states(1, 9, 6)
    if what == "the first is cancelled":
        marketplace.set_states(1, 9, 4)
    if "replaced" in what or "care record" in what:
        marketplace.put_folder(7, 100)
    sync(account)
    sync(account, "care")
    if what == "its care record was cancelled":
        connection.execute("UPDATE care_records SET state = 'cancelled'")
    found = sold_twice(connection)
    assert [each.order_id for each in found] == reported
    assert {(each.imei, each.items) for each in found} <= {(PHONE, 2)}


def test_what_people_type_for_no_imei_is_no_duplicate(
    connection: Connection, marketplace: Marketplace, account: SellerAccount
) -> None:
    for order_id in (1, 2):
        shipped(marketplace, order_id, imei="000000000000000", serial_number="none")
    sync(account)
    assert sold_twice(connection) == []


def test_a_blanked_order_is_not_one_without_a_number(
    connection: Connection, marketplace: Marketplace, account: SellerAccount
) -> None:
    keeps = sandbox_account(marketplace, require_device_numbers=True, retention_days=30)
    shipped(marketplace, 1, imei=PHONE, serial_number="SN-1")
    sync(keeps)
    blank_buyers_data(connection, keeps, marketplace.now() + timedelta(days=31))
    assert numbers(connection) == {}
    ((raw,),) = connection.execute("SELECT raw::text FROM orders").fetchall()
    assert PHONE not in raw
    assert "SN-1" not in raw
    assert shipped_without(connection, {"shop": keeps}) == []
    sync(keeps, "modified", reread=True)
    assert numbers(connection) == {}, "a reread fills nothing in"
