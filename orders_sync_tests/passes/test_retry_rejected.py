"""`rejected retry`: each record that is tried again is an act, and those that are not tried are none."""

import pytest
import stamina

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Selection, stored_acts
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.errors import MarketplaceError
from orders_sync.passes.retry_rejected import retry_rejected_records
from orders_sync.sync.put_off import MAX_FAILURES_IN_A_ROW
from orders_sync.testing.marketplace import Marketplace, an_order, sync

ANN = By("ann@desk", "")


def records_with_acts(connection: Connection) -> list[tuple[str, str | None]]:
    return [(act.act, act.object) for act in stored_acts(connection, Selection())]


@pytest.fixture
def rejected(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> SellerAccount:
    """Seven orders without lines and a care record without an item are rejected."""
    for number in range(1, 8):
        an_order(marketplace, number, orderlines=[])
    marketplace.put_folder(900, 100)
    folder = marketplace.world.scripted_folders[900]
    folder["detail"] = {**folder["detail"], "orderline": None}
    sync(account)
    sync(account, "care")
    return account


def test_each_record_that_is_tried_is_an_act(
    marketplace: Marketplace, rejected: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    assert retry_rejected_records(rejected, "test", by=ANN) == (1, 7)
    assert sorted(records_with_acts(connection)) == [
        ("retry_rejected", "rejected care record 900"),
        *[("retry_rejected", f"rejected order {number}") for number in range(1, 8)],
    ]


def test_a_record_that_is_not_tried_since_the_marketplace_is_down_is_no_act(
    marketplace: Marketplace, rejected: SellerAccount, connection: Connection
) -> None:
    marketplace.fault("status", status=500, times=0)
    with stamina.set_testing(True), pytest.raises(MarketplaceError):
        retry_rejected_records(rejected, "test", by=ANN)
    tried = connection.execute("SELECT record_id FROM rejected_records WHERE attempts > 1 ORDER BY last_seen_at")
    assert records_with_acts(connection) == [("retry_rejected", f"rejected order {order_id}") for (order_id,) in tried]
    assert len(records_with_acts(connection)) == MAX_FAILURES_IN_A_ROW
