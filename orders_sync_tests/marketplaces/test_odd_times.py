"""A time that the filter of a list excludes: of some records it is odd, of all of them the filter was ignored."""

from collections.abc import Iterator
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import MANY_TIMES
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.marketplace import sync
from orders_sync_tests.marketplaces.scripted_shop import (
    MARKETPLACES,
    ScriptedShop,
    account_at,
    an_order_at,
    minutes_ago,
)

DEFAULT_DATE = "2015-01-01T00:00:00Z"
CREATED, MODIFIED = "created_at", "modified_at"
FILTERS = {
    "back_market": {"new": CREATED, "modified": MODIFIED},
    "refurbed": {"new": CREATED, "modified": CREATED},
    "mirakl": {"new": MODIFIED, "modified": MODIFIED},
    "medusa": {"new": CREATED, "modified": CREATED},
}
"""The time by which each sync's list is filtered."""


@pytest.fixture(params=MARKETPLACES)
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ScriptedShop:
    monkeypatch.setenv("SCRIPTED_SHOP_TOKEN", "secret")
    return ScriptedShop(request.param)


@pytest.fixture
def account(shop: ScriptedShop) -> Iterator[SellerAccount]:
    with account_at(shop) as opened:
        yield opened


def flaws(connection: Connection) -> list[tuple[str, str, str]]:
    return connection.execute("SELECT record_id, field, stored FROM record_flaws ORDER BY 1, 2").fetchall()


@pytest.mark.parametrize("sync_type", ["new", "modified"])
@pytest.mark.parametrize("others", [0, 1, 3])
def test_one_record_with_an_odd_time_is_stored_with_a_flaw(
    shop: ScriptedShop, account: SellerAccount, connection: Connection, sync_type: str, others: int
) -> None:
    odd = FILTERS[shop.marketplace][sync_type]
    times = (DEFAULT_DATE, "") if odd == CREATED else ("", DEFAULT_DATE)
    shop.orders = [an_order_at(shop.marketplace, 1, *times)]
    shop.orders += [an_order_at(shop.marketplace, number) for number in range(2, 2 + others)]
    summary = sync(account, sync_type)
    assert (summary.created, summary.rejected) == (1 + others, 0)
    assert summary.watermark is not None
    stored = "the time as it is" if odd == CREATED else "unknown, or as it was stored before"
    assert ("1", odd, stored) in flaws(connection)
    assert {record_id for record_id, field, _ in flaws(connection) if field in (CREATED, MODIFIED)} == {"1"}


def test_an_odd_time_of_an_order_that_another_list_brought_first_is_a_flaw_too(
    shop: ScriptedShop, account: SellerAccount, connection: Connection
) -> None:
    odd = an_order_at(shop.marketplace, 1, DEFAULT_DATE, DEFAULT_DATE)
    shop.orders = [odd, an_order_at(shop.marketplace, 2)]
    sync(account)
    connection.execute("DELETE FROM record_flaws")
    assert sync(account).unchanged >= 2
    assert FILTERS[shop.marketplace]["new"] in {field for record_id, field, _ in flaws(connection) if record_id == "1"}


def odd_days(marketplace: str, count: int) -> list[dict[str, Any]]:
    """Orders 1, 2, 3 and so on, each created and modified on another day long ago."""
    days = [f"2015-{1 + n // 28:02}-{1 + n % 28:02}T00:00:00Z" for n in range(count)]
    return [an_order_at(marketplace, number, day, day) for number, day in enumerate(days, 1)]


@pytest.mark.parametrize("sync_type", ["new", "modified"])
@pytest.mark.parametrize(("odd", "others"), [(2, 1), (5, 20), (MANY_TIMES - 1, 1)])
def test_several_records_with_odd_times_keep_no_other_out(
    shop: ScriptedShop, account: SellerAccount, connection: Connection, sync_type: str, odd: int, others: int
) -> None:
    shop.orders = odd_days(shop.marketplace, odd)
    shop.orders += [an_order_at(shop.marketplace, number) for number in range(1000, 1000 + others)]
    summary = sync(account, sync_type)
    assert (summary.created, summary.rejected) == (odd + others, 0)
    assert summary.watermark is not None
    assert len({record_id for record_id, field, _ in flaws(connection) if field in (CREATED, MODIFIED)}) == odd


@pytest.mark.parametrize("sync_type", ["new", "modified"])
def test_a_list_of_records_with_earlier_times_alone_is_an_ignored_filter(
    shop: ScriptedShop, account: SellerAccount, connection: Connection, sync_type: str
) -> None:
    """Nothing shows that the newer ones are listed; those that came are stored."""
    shop.orders = odd_days(shop.marketplace, 2)
    with pytest.raises(PassFailedError, match=r"2 of 2 records are older, e\.g\. 1 of 2015-.*ignores the filter"):
        sync(account, sync_type)
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)
    assert connection.execute("SELECT count(watermark) FROM lanes").fetchone() == (0,)


def test_many_different_earlier_times_are_an_ignored_filter_and_all_records_are_stored(
    shop: ScriptedShop, account: SellerAccount, connection: Connection
) -> None:
    shop.orders = odd_days(shop.marketplace, MANY_TIMES)
    shop.orders += [an_order_at(shop.marketplace, number) for number in range(1000, 1030)]
    with pytest.raises(PassFailedError, match="20 of 50 records are older"):
        sync(account)
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (50,)


def test_a_default_date_of_all_records_is_no_ignored_filter(
    shop: ScriptedShop, account: SellerAccount, connection: Connection
) -> None:
    shop.orders = [an_order_at(shop.marketplace, n, DEFAULT_DATE, DEFAULT_DATE) for n in range(1, 10)]
    assert sync(account).created == 9


@pytest.mark.parametrize("shop", ["back_market", "mirakl"], indirect=True)
def test_a_change_with_an_odd_modified_time_is_no_older_version(
    shop: ScriptedShop, account: SellerAccount, connection: Connection
) -> None:
    """Medusa and refurbed filter by the creation."""
    shop.orders = [an_order_at(shop.marketplace, number) for number in (1, 2)]
    sync(account)
    changed = an_order_at(shop.marketplace, 1, minutes_ago(10), DEFAULT_DATE)
    changed.update({"state": 9} if shop.marketplace == "back_market" else {"order_state": "SHIPPED"})
    shop.orders[0] = changed
    assert sync(account, "modified").changed == 1
    query = "SELECT status, modified_at > '2016-01-01' FROM orders WHERE order_id = '1'"
    assert connection.execute(query).fetchone() == ("shipped", True)
