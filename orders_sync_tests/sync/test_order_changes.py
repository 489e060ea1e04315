"""What changed: one row for each revision of an order, and the values before in its events."""

from datetime import timedelta
from typing import Any

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.sandbox.formats import stamp
from orders_sync.sync.order_changes import OrderChange, changes_of
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

CHANGES = "SELECT order_id, revision, fields - 'modified_at', items FROM order_changes ORDER BY order_id, revision"
PREVIOUS = (
    "SELECT order_id, item_id, old_status, new_status, previous - 'modified_at' FROM order_events "
    "WHERE kind = 'OrderStatusChanged' ORDER BY event_id"
)


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode()).fetchall()


def gone(sku: str, quantity: int) -> dict[str, list[Any]]:
    """What is stored of an item that leaves an order: all that events say of it."""
    return {
        "status": ["accepted", "removed"], "sku": [sku, None], "quantity": [quantity, None], "kind": ["goods", None],
        "currency": ["EUR", None], "price": [100.0, None], "shipping_price": [5.0, None], "fee": [10.0, None],
        **{key: [None, None] for key in ("cancelled", "shipped", "refunded", "returned")},
    }  # fmt: skip


def test_an_order_that_does_not_change_has_no_row(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    sync(account)
    sync(account, "modified")
    sync(account, "modified", reread=True)
    assert rows(connection, CHANGES) == []


def test_a_change_has_its_values_before_and_after_and_what_stored_it(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, skus=("PHONE", "CASE"))
    sync(account)
    lines = marketplace.world.scripted[1]["orderlines"]
    marketplace.pass_time(minutes=5)
    changed_at = marketplace.now()
    marketplace.change(
        1,
        state=9,
        tracking_number="T1",
        price="300.00",
        orderlines=[{**lines[0], "state": 3, "product": "A phone"}, lines[1]],
    )
    sync(account, "modified")
    assert rows(connection, CHANGES) == [
        (
            "1",
            2,
            {
                "status": ["accepted", "shipped"],
                "marketplace_state": ["3", "9"],
                "tracking_number": [None, "T1"],
                "items_total": [200.0, 300.0],
            },
            {
                "100": {
                    "status": ["accepted", "shipped"],
                    "marketplace_state": ["2", "3"],
                    "product": ["A PHONE", "A phone"],
                }
            },
        )
    ]
    ((fields, written_by, run_id),) = rows(connection, "SELECT fields, written_by, run_id FROM order_changes")
    assert fields["modified_at"][1].startswith(f"{changed_at:%Y-%m-%dT%H:%M}")
    assert (written_by, run_id) == ("modified", "test")
    assert rows(connection, PREVIOUS) == [
        ("1", "", "accepted", "shipped", {"marketplace_state": "3", "tracking_number": None, "items_total": 200.0}),
        ("1", "100", "accepted", "shipped", {"marketplace_state": "2", "product": "A PHONE"}),
    ]
    check_invariants(connection)


def test_buyers_data_and_urls_of_documents_are_named_without_their_values(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, delivery_note="https://x.example.com/1.pdf?signature=a")
    sync(account)
    marketplace.change(
        1,
        state=9,
        delivery_note="https://x.example.com/1.pdf?signature=b",
        shipping_address={"firstName": "Jean", "lastName": "Hugo", "city": "Lyon", "country": "FR"},
        billing_address={"phoneNumber": "+33 1"},
    )
    sync(account, "modified")
    ((_, _, fields, _),) = rows(connection, CHANGES)
    assert fields == {
        "status": ["accepted", "shipped"],
        "marketplace_state": ["3", "9"],
        "delivery_note_url": [],
        "shipping_city": [],
        "shipping_first_name": [],
        "billing_phone": [],
    }
    assert [row[4] for row in rows(connection, PREVIOUS)] == [{"marketplace_state": "3"}]


def test_what_a_record_leaves_out_has_not_changed(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    order = an_order(marketplace, 1, tracking_number="T1")
    sync(account)
    sparse = {name: order[name] for name in ("order_id", "date_creation")}
    marketplace.put({**sparse, "date_modification": stamp(marketplace.now() + timedelta(minutes=1))})
    sync(account, "modified")
    assert rows(connection, CHANGES) == [("1", 2, {}, {})]  # the raw record only


def test_items_that_come_go_and_come_back_are_changes(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    order = an_order(marketplace, 1, skus=("PHONE", "CASE"))
    sync(account)
    phone, case = order["orderlines"]
    marketplace.change(1, orderlines=[phone, {**phone, "id": 199, "listing": "CABLE", "quantity": 2}])
    sync(account, "modified")
    marketplace.pass_time(minutes=1)
    marketplace.change(1, orderlines=[phone, case])
    sync(account, "modified")
    items = [row[3] for row in rows(connection, CHANGES)]
    assert items == [
        {
            "101": gone("CASE", 1),
            "199": {"status": [None, "accepted"], "sku": [None, "CABLE"], "quantity": [None, 2]},
        },
        {
            "101": {"status": ["removed", "accepted"], "marketplace_state": [None, "2"]},
            "199": gone("CABLE", 2),
        },
    ]
    assert [row[4] for row in rows(connection, PREVIOUS) if row[2] is None] == [{"sku": None, "quantity": None}]


def test_an_item_that_moves_changes_both_orders(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    first = an_order(marketplace, 1, skus=("PHONE", "CASE"))
    an_order(marketplace, 2)
    sync(account)
    phone, case = first["orderlines"]
    lines = marketplace.world.scripted[2]["orderlines"]
    marketplace.change(2, orderlines=[*lines, case])
    sync(account, "modified")
    assert rows(connection, CHANGES) == [
        ("1", 2, {}, {"101": gone("CASE", 1)}),
        ("2", 2, {}, {"101": {"status": [None, "accepted"], "sku": [None, "CASE"], "quantity": [None, 1]}}),
    ]
    marketplace.pass_time(minutes=1)
    marketplace.change(1, orderlines=[phone, case])
    marketplace.change(2, orderlines=lines)
    sync(account, "modified")  # both orders in one batch
    assert [row[1:] for row in rows(connection, CHANGES) if row[1] == 3] == [
        (3, {}, {"101": {"status": [None, "accepted"], "sku": [None, "CASE"], "quantity": [None, 1]}}),
        (3, {}, {"101": gone("CASE", 1)}),
    ]
    check_invariants(connection)


def test_every_revision_has_its_row_in_a_living_marketplace(
    living_marketplace: Marketplace, connection: Connection
) -> None:
    account = sandbox_account(living_marketplace)
    sync(account)
    for _ in range(3):
        living_marketplace.pass_time(days=2)
        for sync_type in ("new", "modified"):
            sync(account, sync_type)
    without = """
    SELECT placed.order_id, number FROM orders placed, generate_series(2, placed.revision) AS number
    WHERE NOT EXISTS (SELECT FROM order_changes change WHERE change.order_id = placed.order_id AND revision = number)
    """
    assert rows(connection, without) == []
    assert rows(connection, "SELECT count(*) > 10 FROM order_changes") == [(True,)]
    unexplained = """
    SELECT event.order_id, event.item_id FROM order_events event
    JOIN order_changes change USING (account, order_id, revision)
    WHERE jsonb_build_array(event.old_status, event.new_status) IS DISTINCT FROM
      CASE WHEN item_id = '' THEN change.fields->'status' ELSE change.items->event.item_id->'status' END
    """
    assert rows(connection, unexplained) == []
    check_invariants(connection)


def test_the_changes_of_an_order_are_listed_value_by_value(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    sync(account)
    lines = marketplace.world.scripted[1]["orderlines"]
    modified = marketplace.world.scripted[1]["date_modification"]
    marketplace.change(1, date_modification=modified, orderlines=[{**lines[0], "product": "A phone"}], buyer_note="x")
    sync(account, "modified")
    marketplace.change(1, date_modification=modified, buyer_note="y")
    sync(account, "modified")
    at = marketplace.now()
    assert [change._replace(recorded_at=at) for change in changes_of(connection, "shop", "1")] == [
        OrderChange(2, at, "modified", "test", "100", "product", "A PHONE", "A phone", False),
        OrderChange(3, at, "modified", "test", "", "", None, None, False),
    ]


def test_an_order_that_was_deleted_by_hand_begins_anew(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    for tracking_number in ("A", "B"):
        sync(account)
        marketplace.pass_time(minutes=1)
        marketplace.change(1, tracking_number=tracking_number)
        sync(account, "modified")
        assert rows(connection, CHANGES) == [("1", 2, {"tracking_number": [None, tracking_number]}, {})]
        marketplace.change(1, tracking_number=None)
        for table in ("orders", "order_items", "order_events"):
            connection.execute(f"DELETE FROM {table}".encode())
