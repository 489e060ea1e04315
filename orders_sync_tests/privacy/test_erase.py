"""A buyer who is erased stays erased, whatever the marketplace lists later."""

from datetime import timedelta

import pytest

from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.documents.formats import DocumentFormat
from orders_sync.documents.store import DueDocument, store_content
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.passes.sync_order import sync_order
from orders_sync.privacy.buyers import Buyer, find_records
from orders_sync.privacy.erase import Erased, erase
from orders_sync.privacy.export import exported
from orders_sync.privacy.retention import blank_buyers_data
from orders_sync.sandbox.document_files import pdf
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync

BY = By("ann@desk", "", "orders-sync buyer erase")
VICTOR = {"firstName": "Victor", "lastName": "Hugo", "city": "Paris", "street": "1, Place des Vosges", "country": "FR"}
OTHER = {"firstName": "Émile", "lastName": "Zola", "city": "Médan", "country": "FR"}
EVERYWHERE = """
SELECT string_agg(t, ' ') FROM (
  SELECT o::text FROM orders o UNION ALL SELECT i::text FROM order_items i UNION ALL SELECT c::text FROM care_records c
  UNION ALL SELECT convert_from(raw, 'UTF8') FROM rejected_records UNION ALL SELECT a::text FROM manual_acts a
  UNION ALL SELECT e::text FROM erased_records e) everywhere (t)
"""


def kept_of(account: str) -> KeptFields:
    return find_marketplace("back_market").kept_fields


def erase_all(connection: Connection, buyer: Buyer) -> Erased:
    return erase(connection, find_records(connection, buyer), kept_of, BY, buyer.found_by)


def everything(connection: Connection) -> str:
    (stored,) = connection.execute(EVERYWHERE).fetchone() or ("",)
    return stored


@pytest.fixture
def two_buyers(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    """Two orders of Victor Hugo, one of Émile Zola; a care record and a rejected record of the former."""
    for number in (1, 2):
        an_order(marketplace, number, shipping_address=VICTOR, paypal_reference="PP-1", imei="356938035643809")
    an_order(marketplace, 3, shipping_address=OTHER)
    an_order(marketplace, 4, shipping_address=VICTOR, currency="EUR", orderlines=[])
    marketplace.put_folder(900, 100, messages=[{"message": "Victor here, call +33612345678"}])
    sync(account)
    sync(account, "care")


@pytest.mark.usefixtures("two_buyers")
class TestBuyers:
    def test_an_order_is_found_with_its_care_records(self, connection: Connection) -> None:
        found = find_records(connection, Buyer(order=("shop", "1")))
        assert (list(found.orders), list(found.care), list(found.rejected)) == ([("shop", "1")], [("shop", "900")], [])

    def test_what_is_left_of_an_order_whose_row_is_gone_is_found_and_erased(self, connection: Connection) -> None:
        connection.execute("DELETE FROM orders WHERE order_id = '1'")
        found = find_records(connection, Buyer(order=("shop", "1")))
        assert (list(found.orders), list(found.care)) == ([("shop", "1")], [("shop", "900")])
        assert erase(connection, found, kept_of, BY, "order").records == 2
        assert "+33612345678" not in everything(connection)
        assert not find_records(connection, Buyer(order=("shop", "no such")))

    @pytest.mark.parametrize("name", ["Victor Hugo", "hugo victor", "  HUGO,  Victor "])
    def test_a_name_finds_all_of_the_buyer_and_of_nobody_else(self, connection: Connection, name: str) -> None:
        found = find_records(connection, Buyer(name=name))
        assert list(found.orders) == [("shop", "1"), ("shop", "2")]
        assert list(found.care) == [("shop", "900")]
        assert list(found.rejected) == [("shop", "order", "4")]

    def test_a_name_with_other_letters_than_ascii_is_found_in_any_case(self, connection: Connection) -> None:
        assert list(find_records(connection, Buyer(name="ÉMILE ZOLA")).orders) == [("shop", "3")]

    @pytest.mark.parametrize("name", ["Victor", "Hugo", "Vict", "or Hugo", "Paris"])
    def test_a_part_of_a_name_is_nobody(self, connection: Connection, name: str) -> None:
        assert not find_records(connection, Buyer(name=name)).orders

    def test_what_is_erased_is_gone_and_the_order_stays(self, connection: Connection) -> None:
        total = connection.execute("SELECT count(*), sum(items_total) FROM orders").fetchone()
        assert erase_all(connection, Buyer(name="Victor Hugo")).records == 4
        stored = everything(connection)
        assert [each for each in ("Victor", "Hugo", "Vosges", "PP-1", "+336", "3569") if each in stored] == []
        assert "Zola" in stored
        assert connection.execute("SELECT count(*), sum(items_total) FROM orders").fetchone() == total
        acts = connection.execute("SELECT actor, act, detail, order_id FROM manual_acts ORDER BY act_id").fetchall()
        detail = "found by name, with 2 orders, 1 care records, 1 rejected"
        assert acts[:2] == [("ann@desk", "erase_buyer", detail, "1"), ("ann@desk", "erase_buyer", detail, "2")]
        assert not find_records(connection, Buyer(name="Victor Hugo"))
        check_invariants(connection)

    def test_a_later_copy_does_not_bring_the_buyer_back(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection
    ) -> None:
        erase_all(connection, Buyer(name="Victor Hugo"))
        marketplace.pass_time(minutes=1)
        marketplace.set_states(1, 9, 3)
        marketplace.change(4, price="1.00")
        marketplace.put_folder(900, 100, "REFUND", messages=[{"message": "Victor again"}])
        marketplace.put_folder(901, 200, messages=[{"message": "a new case, Victor"}])
        for sync_type in ("new", "modified", "care"):
            sync(account, sync_type)
        sync(account, "modified", reread=True)
        sync_order(account, "1", "test", reread=True)
        assert connection.execute("SELECT status FROM orders WHERE order_id = '1'").fetchone() == ("shipped",)
        assert connection.execute("SELECT count(*) FROM care_records").fetchone() == (2,)
        stored = everything(connection)
        assert [each for each in ("Victor", "Hugo", "Vosges", "PP-1", "+336") if each in stored] == []
        check_invariants(connection)

    def test_one_that_was_deleted_and_is_imported_again_comes_without_the_buyer(
        self, account: SellerAccount, connection: Connection
    ) -> None:
        erase_all(connection, Buyer(order=("shop", "1")))
        for table in ("order_items", "orders", "care_record_items", "care_records"):
            connection.execute(f"DELETE FROM {table}")  # pyright: ignore[reportArgumentType, reportCallIssue]
        connection.execute("TRUNCATE order_events, order_changes")
        assert sync(account, "modified").created == 3
        sync(account, "care", reread=True)
        rows = connection.execute(
            "SELECT order_id, shipping_last_name, buyer_data_blanked_at IS NULL FROM orders ORDER BY 1"
        ).fetchall()
        assert rows == [("1", None, False), ("2", "Hugo", True), ("3", "Zola", True)]
        assert "Victor here" not in everything(connection)

    def test_the_retention_blanks_a_copy_that_slipped_in(self, account: SellerAccount, connection: Connection) -> None:
        """As when it was stored in the same moment; also where the account has no retention."""
        erase_all(connection, Buyer(order=("shop", "1")))
        connection.execute(
            "UPDATE orders SET shipping_city = 'Paris', buyer_data_blanked_at = NULL WHERE order_id = '1'"
        )
        assert blank_buyers_data(connection, account).orders == 1
        assert connection.execute("SELECT shipping_city FROM orders WHERE order_id = '1'").fetchone() == (None,)

    def test_the_export_has_what_is_stored_and_nothing_of_others(self, connection: Connection) -> None:
        content = exported(connection, find_records(connection, Buyer(name="Victor Hugo")))
        assert [order["order_id"] for order in content["orders"]] == ["1", "2"]
        assert content["orders"][0]["shipping_last_name"] == "Hugo"
        assert content["orders"][0]["raw"]["paypal_reference"] == "PP-1"
        assert [item["sku"] for item in content["orders"][0]["items"]] == ["PHONE"]
        assert [event["kind"] for event in content["orders"][0]["events"]] == ["OrderCreated"]
        assert content["care_records"][0]["raw"]["messages"] == [{"message": "Victor here, call +33612345678"}]
        assert [item["item_id"] for item in content["care_records"][0]["items"]] == ["100"]
        assert "Vosges" in content["rejected_records"][0]["raw"]
        assert "Zola" not in str(content)


def test_a_mail_address_is_found_as_a_whole_also_within_texts(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, contact="ann@example.com")
    an_order(marketplace, 2, contact="joann@example.com")
    an_order(marketplace, 3, contact="ann@example.com.au")
    an_order(marketplace, 4, tracking_url="https://parcels.example/?number=1&mail=Ann%40example.com")
    marketplace.put_folder(900, 200, messages=[{"message": "write to ANN@example.com."}])
    sync(account)
    sync(account, "care")
    found = find_records(connection, Buyer(mail="ann@example.com"))
    assert (list(found.orders), list(found.care)) == ([("shop", "1"), ("shop", "4")], [("shop", "900")])


def test_an_open_order_that_is_erased_keeps_its_stock_locked(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, age=timedelta(minutes=5))
    sync(account)
    erase_all(connection, Buyer(order=("shop", "1")))
    rows = connection.execute("SELECT status, sku, quantity FROM order_items").fetchall()
    assert rows == [("accepted", "PHONE", 1)]
    check_invariants(connection)


def test_a_document_that_is_being_fetched_meanwhile_is_not_stored(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    sync(account)
    due = DueDocument("1", "label", "1", "https://x.example.com/1.pdf")
    erase_all(connection, Buyer(order=("shop", "1")))
    store_content(connection, "shop", due, pdf(["for Victor"]), DocumentFormat.PDF)
    assert connection.execute("SELECT FROM document_contents").fetchall() == []
