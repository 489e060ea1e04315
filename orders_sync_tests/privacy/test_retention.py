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


def test_a_later_copy_is_stored_without_the_buyer(marketplace: Marketplace, connection: Connection) -> None:
    """Its statuses, items and stock go on; the tables never have the buyer again."""
    an_order(marketplace, 1, age=timedelta(days=50))
    marketplace.put_folder(900, 100)
    account = sandbox_account(marketplace, retention_days=30)
    sync(account)
    sync(account, "care")
    blank_buyers_data(connection, account, marketplace.now() + timedelta(days=31))
    marketplace.pass_time(minutes=1)
    marketplace.set_states(1, 9, 3)
    marketplace.change(
        1, tracking_number="TRACK1", delivery_note="https://x.example.com/1.pdf", paypal_reference="PP-1"
    )
    marketplace.put_folder(900, 100, "REFUND", messages=[{"message": "call me, Victor"}])
    assert sync(account, "modified").changed == 1
    assert sync(account, "care").changed == 1
    row = connection.execute(
        "SELECT status, shipping_city, tracking_number, delivery_note_url, buyer_data_blanked_at IS NULL FROM orders"
    ).fetchone()
    assert row == ("shipped", None, None, None, False)
    assert connection.execute("SELECT status FROM order_items").fetchone() == ("shipped",)
    assert connection.execute("SELECT kind FROM care_records").fetchone() == ("refund",)
    (stored,) = connection.execute(EVERYWHERE).fetchone() or ("",)
    assert [each for each in ("Paris", "Victor", "TRACK1", "PP-1", "1.pdf") if each in stored] == []
    assert blank_buyers_data(connection, account) == Blanked()
    nothing_changed(sync(account, "modified", reread=True))
    check_invariants(connection)


def test_a_rejected_copy_of_a_blanked_order_is_kept_without_the_buyer(
    marketplace: Marketplace, connection: Connection
) -> None:
    an_order(marketplace, 1, age=timedelta(days=50))
    account = sandbox_account(marketplace, retention_days=30)
    sync(account)
    blank_buyers_data(connection, account)
    marketplace.pass_time(minutes=1)
    line = {"id": 101, "state": 2, "quantity": 1, "return_message": "for Victor"}
    marketplace.change(1, orderlines=[line])
    assert sync(account, "modified").rejected == 1
    ((raw,),) = connection.execute("SELECT raw FROM rejected_records").fetchall()
    assert b"Paris" not in raw
    assert b"Victor" not in raw
    assert b'"country_code":"fr-fr"' in raw


def test_urls_and_tracking_of_documents_go_and_are_not_read_again(
    marketplace: Marketplace, connection: Connection
) -> None:
    label = {"order": 1, "trackingNumber": "TRACK1", "labelUrl": "https://x.example.com/TRACK1.pdf"}
    order = an_order(marketplace, 1, age=timedelta(days=50), _deliveries=[label], is_backship=True)
    order["delivery_note"] = "https://x.example.com/note-TRACK1.pdf"
    account = sandbox_account(marketplace, retention_days=30, days_back=90)
    sync(account)
    sync(account, "incomplete")
    tracking = "SELECT tracking_number FROM order_documents WHERE kind = 'label'"
    assert connection.execute(tracking).fetchone() == ("TRACK1",)
    blank_buyers_data(connection, account)
    refresh_documents(account, ["1"], "test")
    rows = connection.execute("SELECT url, tracking_number FROM order_documents").fetchall()
    assert set(rows) == {(None, None)}
    (stored,) = connection.execute("SELECT string_agg(d::text, '') FROM order_documents d").fetchone() or ("",)
    assert "TRACK1" not in stored
    calls = marketplace.calls()
    sync(account, "incomplete")
    assert marketplace.calls() == calls, "it is known that there are documents, and no more can be known"


def test_what_an_older_version_blanked_is_blanked_anew(marketplace: Marketplace, connection: Connection) -> None:
    """It blanked by a list of what goes, and left the rest."""
    an_order(marketplace, 1, paypal_reference="PP-1")
    account = sandbox_account(marketplace)
    sync(account)
    connection.execute("UPDATE orders SET buyer_data_blanked_at = 'epoch'")
    assert blank_buyers_data(connection, account) == Blanked(orders=1)
    (stored,) = connection.execute(EVERYWHERE).fetchone() or ("",)
    assert "PP-1" not in stored
    assert blank_buyers_data(connection, account) == Blanked()


def test_changes_events_and_answers_of_an_order_lose_what_leads_to_the_buyer(
    marketplace: Marketplace, connection: Connection
) -> None:
    an_order(marketplace, 1, age=timedelta(days=50), tracking_number="TRACK1", price="100.00")
    account = sandbox_account(marketplace, retention_days=30)
    sync(account)
    marketplace.pass_time(minutes=1)
    marketplace.set_states(1, 9, 3)
    marketplace.change(1, tracking_number="TRACK2", price="90.00")
    sync(account, "modified")
    connection.execute(
        "INSERT INTO acceptances (account, order_id, sku, state, request, answer) "
        "VALUES ('shop', '1', 'PHONE', 'refused', '{}', 'the buyer at TRACK2 is unknown')"
    )
    everywhere = (
        "SELECT string_agg(t, '') FROM (SELECT c::text FROM order_changes c UNION ALL SELECT e::text FROM order_events e "
        "UNION ALL SELECT a::text FROM acceptances a) everywhere (t)"
    )
    before = connection.execute(everywhere).fetchone()
    assert before is not None
    assert before[0].count("TRACK1") == 2
    assert before[0].count("TRACK2") == 2
    blank_buyers_data(connection, account)
    after = connection.execute(everywhere).fetchone()
    assert after is not None
    assert "TRACK" not in after[0]
    assert connection.execute(
        "SELECT fields->'tracking_number', fields->'items_total' FROM order_changes"
    ).fetchone() == (
        [],
        [100, 90],
    )


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
def test_a_record_that_is_nested_too_deeply_keeps_its_fields_and_no_other_from_being_blanked(
    marketplace: Marketplace, connection: Connection, levels: int
) -> None:
    for number in (1, 2, 3):
        an_order(marketplace, number, age=timedelta(days=50))
    marketplace.put_folder(900, 100)
    account = sandbox_account(marketplace, retention_days=30)
    sync(account)
    sync(account, "care")
    deep = '{"deep": ' * levels + '{"first_name": "Victor"}' + "}" * levels
    raw = f'{{"order_id": 2, "id": 900, "shipping_address": {{"firstName": "Victor"}}, "more": {deep}}}'
    connection.execute("UPDATE orders SET raw = %s::json WHERE order_id = '2'", [raw])
    connection.execute("UPDATE care_records SET raw = %s::jsonb", [raw])
    blanked = blank_buyers_data(connection, account, marketplace.now() + timedelta(days=40))
    assert (blanked.orders, blanked.care_records) == (3, 1)
    assert connection.execute("SELECT raw::text FROM orders WHERE order_id = '2'").fetchone() == ('{"order_id":2}',)
    assert connection.execute("SELECT raw FROM care_records").fetchone() == ({"id": 900},)
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
