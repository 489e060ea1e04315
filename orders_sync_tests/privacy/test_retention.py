"""Buyers' data: blanked once it is old enough, and nothing else with it."""

from datetime import timedelta

import pytest

from orders_sync.database.engine import Connection
from orders_sync.passes.refresh_documents import refresh_documents
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.privacy.retention import Blanked, blank_buyers_data
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.document_files import pdf
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.testing.invariants import check_invariants, nothing_changed
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

EVERYWHERE = (
    "SELECT string_agg(t::text, ' ') FROM (SELECT o::text FROM orders o UNION ALL SELECT c::text FROM care_records c) t"
)


@pytest.mark.parametrize("fake", [FakeBackMarket, FakeRefurbed, FakeMirakl])
def test_old_buyers_are_forgotten_everywhere_and_orders_stay(
    fake: type[FakeMarketplace], connection: Connection
) -> None:
    with Marketplace(fake, orders=200, days=60) as marketplace:
        account = sandbox_account(marketplace, retention_days=20)
        for sync_type in ("new", "care"):
            sync(account, sync_type)
        count = connection.execute("SELECT count(*), sum(items_total) FROM orders").fetchone()
        stored = connection.execute(EVERYWHERE).fetchone()
        assert count is not None
        assert stored is not None
        assert "Imaginary Street" in stored[0]
        later = marketplace.now() + timedelta(days=21)
        blanked = blank_buyers_data(connection, account, later)
        assert blanked.orders == count[0]
        assert blanked.care_records > 0
        (stored,) = connection.execute(EVERYWHERE).fetchone() or ("",)
        for planted in ("Imaginary Street", "+336", "mail.example.com", "Victor", "Müller"):
            assert planted not in stored
        assert connection.execute("SELECT count(*), sum(items_total) FROM orders").fetchone() == count
        assert blank_buyers_data(connection, account, later) == Blanked()
        nothing_changed(sync(account, "modified"))  # what is listed again unchanged is not filled in again
        check_invariants(connection)


def test_young_ones_stay_and_without_a_setting_all_do(marketplace: Marketplace, connection: Connection) -> None:
    an_order(marketplace, 1, age=timedelta(days=50))
    an_order(marketplace, 2, age=timedelta(days=5))
    an_order(marketplace, 3, age=timedelta(days=5), orderlines=[], currency="???")
    keeps = sandbox_account(marketplace)
    sync(keeps)
    assert blank_buyers_data(connection, keeps) == Blanked()
    account = sandbox_account(marketplace, retention_days=30)
    assert blank_buyers_data(connection, account) == Blanked(orders=1)
    rows = connection.execute("SELECT order_id, shipping_city FROM orders ORDER BY 1").fetchall()
    assert rows == [("1", None), ("2", "Paris")]
    later = marketplace.now() + timedelta(days=40)
    assert blank_buyers_data(connection, account, later) == Blanked(orders=1, rejected_records=1)
    (raw,) = connection.execute("SELECT raw FROM rejected_records").fetchone() or (b"",)
    assert b"Paris" not in raw
    assert b"???" in raw


def test_one_that_changes_later_is_stored_whole_and_blanked_anew(
    marketplace: Marketplace, connection: Connection
) -> None:
    an_order(marketplace, 1, age=timedelta(days=50))
    account = sandbox_account(marketplace, retention_days=30)
    sync(account)
    blank_buyers_data(connection, account)
    marketplace.set_states(1, 9, 3)
    sync(account, "modified")
    assert connection.execute("SELECT status, shipping_city FROM orders").fetchone() == ("shipped", "Paris")
    assert blank_buyers_data(connection, account) == Blanked(orders=1)
    assert connection.execute("SELECT shipping_city, raw->>'shipping_address' FROM orders").fetchone() == (None, None)


def test_documents_are_erased_with_their_order_and_not_fetched_again(
    marketplace: Marketplace, connection: Connection
) -> None:
    for number, age in ((1, 50), (2, 50), (3, 5)):
        shared = pdf(["in the parcels 2 and 3"])
        marketplace.world.scripted_files[f"/static/{number}"] = pdf(["parcel 1"]) if number == 1 else shared
        label = {"order": number, "shipmentId": number, "labelUrl": f"/static/{number}"}
        an_order(marketplace, number, age=timedelta(days=age), _deliveries=[label])
    keeps = sandbox_account(marketplace, store_documents=True, days_back=90)
    sync(keeps)
    assert sync(keeps, "incomplete").documents_stored == 3
    assert blank_buyers_data(connection, keeps) == Blanked()
    account = sandbox_account(marketplace, store_documents=True, days_back=90, retention_days=30)
    assert blank_buyers_data(connection, account) == Blanked(orders=2, documents=2)
    assert connection.execute("SELECT order_id FROM document_fetches").fetchall() == [("3",)]
    assert connection.execute("SELECT content FROM document_contents").fetchall() == [(shared,)]
    assert sync(account, "incomplete").documents_stored == 0
    refresh_documents(account, ["1", "2", "3"], "test")
    assert connection.execute("SELECT order_id FROM document_fetches").fetchall() == [("3",)]
    assert blank_buyers_data(connection, account) == Blanked()


def test_a_content_that_a_document_no_longer_has_is_erased_too(
    marketplace: Marketplace, connection: Connection
) -> None:
    marketplace.world.scripted_files |= {"/static/1": pdf(["old"]), "/static/1b": pdf(["new"])}
    an_order(marketplace, 1, _deliveries=[{"order": 1, "shipmentId": 1, "labelUrl": "/static/1"}])
    account = sandbox_account(marketplace, store_documents=True, retention_days=30)
    sync(account)
    sync(account, "incomplete")
    marketplace.change(1, _deliveries=[{"order": 1, "shipmentId": 1, "labelUrl": "/static/1b"}])
    assert refresh_documents(account, ["1"], "test").documents_stored == 1
    assert blank_buyers_data(connection, account) == Blanked()
    assert connection.execute("SELECT content FROM document_contents").fetchall() == [(pdf(["new"]),)]


@pytest.mark.parametrize("levels", [600, 3000])
def test_a_record_that_is_nested_too_deeply_is_reported_and_keeps_no_other_from_being_blanked(
    marketplace: Marketplace, connection: Connection, levels: int
) -> None:
    for number in (1, 2, 3):
        an_order(marketplace, number, age=timedelta(days=50))
    marketplace.put_folder(900, 100)
    account = sandbox_account(marketplace, retention_days=30)
    sync(account)
    sync(account, "care")
    deep = '{"deep": ' * levels + '{"first_name": "Victor"}' + "}" * levels
    raw = f'{{"order_id": 2, "shipping_address": {{"firstName": "Victor"}}, "more": {deep}}}'
    connection.execute("UPDATE orders SET raw = %s::json WHERE order_id = '2'", [raw])
    connection.execute("UPDATE care_records SET raw = %s::jsonb", [raw])
    blanked = blank_buyers_data(connection, account, marketplace.now() + timedelta(days=40))
    assert (blanked.orders, blanked.care_records) == (3, 1)
    what = "its record was nested too deeply: what lay below 200 levels was removed with the buyer's data"
    assert blanked.problems == [f"shop, order 2: {what}", f"shop, care record 900: {what}"]
    (stored,) = connection.execute(EVERYWHERE).fetchone() or ("",)
    assert "Victor" not in stored
    assert connection.execute("SELECT count(*) FROM orders WHERE buyer_data_blanked_at IS NULL").fetchone() == (0,)
    assert blank_buyers_data(connection, account, marketplace.now() + timedelta(days=40)) == Blanked()


def test_a_creation_time_in_the_future_keeps_no_buyers_data_for_ever(
    marketplace: Marketplace, connection: Connection
) -> None:
    an_order(marketplace, 1, date_creation="2098-01-01T00:00:00Z")
    account = sandbox_account(marketplace, retention_days=30)
    sync(account)
    assert blank_buyers_data(connection, account) == Blanked()
    assert blank_buyers_data(connection, account, marketplace.now() + timedelta(days=31)) == Blanked(orders=1)


def test_error_answers_are_erased_once_they_are_old(marketplace: Marketplace, connection: Connection) -> None:
    marketplace.fault("status", status=400, body={"message": "for Jane Doe"})
    account = sandbox_account(marketplace, retention_days=30)
    with pytest.raises(PassFailedError):
        sync(account)
    assert blank_buyers_data(connection, account) == Blanked()
    assert blank_buyers_data(connection, account, marketplace.now() + timedelta(days=31)) == Blanked(error_answers=1)
    assert connection.execute("SELECT FROM error_answers").fetchall() == []
