"""`documents refresh`: an order's documents are read anew, and it is an act where something of it is stored."""

import stamina

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Selection, stored_acts
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.passes.refresh_documents import refresh_documents
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

ANN = By("ann@desk", "")


def orders_with_acts(connection: Connection) -> list[str | None]:
    return [act.order_id for act in stored_acts(connection, Selection()) if act.act == "refresh_documents"]


def label(marketplace: Marketplace, order_id: int) -> list[dict[str, object]]:
    return [{"order": order_id, "shipmentId": order_id, "labelUrl": f"{marketplace.url}/static/{order_id}"}]


def test_each_order_of_which_something_is_stored_has_an_act(marketplace: Marketplace, connection: Connection) -> None:
    account = sandbox_account(marketplace, store_documents=True)
    an_order(marketplace, 1, _deliveries=label(marketplace, 1))
    an_order(marketplace, 2)
    sync(account)
    assert refresh_documents(account, ["1", "2"], "test", ANN).documents_found == 1
    assert orders_with_acts(connection) == ["1"], "nothing was found of order 2"


def test_a_document_that_is_fetched_only_then_is_an_act(marketplace: Marketplace, connection: Connection) -> None:
    an_order(marketplace, 1, _deliveries=label(marketplace, 1))
    sync(sandbox_account(marketplace))
    sync(sandbox_account(marketplace), "incomplete")
    marketplace.fault("status", path="/ws/", status=500, times=0)
    with stamina.set_testing(True):
        refresh_documents(sandbox_account(marketplace, store_documents=True), ["1"], "test", ANN)
    assert connection.execute("SELECT count(*) FROM document_fetches").fetchone() == (1,)
    assert orders_with_acts(connection) == ["1"]


def test_what_can_not_be_read_is_no_act(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, _deliveries=label(marketplace, 1))
    sync(account)
    marketplace.fault("status", status=500, times=0)
    with stamina.set_testing(True):
        assert refresh_documents(account, ["1"], "test", ANN).problems
    assert orders_with_acts(connection) == []
