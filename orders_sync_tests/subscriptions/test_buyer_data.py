"""Buyers' data reach a subscription that asks for them, of accounts that share them, and no other."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from docs.generate.contract import event_schema
from orders_sync.acts.by import By
from orders_sync.config.subscriptions import DagsterConsumer, Webhook
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.privacy.buyers import Buyer, find_records
from orders_sync.privacy.erase import erase
from orders_sync.privacy.export import exported
from orders_sync.subscriptions.consumer import OrderEventConsumer, consume
from orders_sync.subscriptions.deliveries import acknowledge, claim
from orders_sync.subscriptions.event import OrderEvent, event_from
from orders_sync.subscriptions.registration import register
from orders_sync.subscriptions.webhooks.receiver import Receiver, Result
from orders_sync.subscriptions.webhooks.signatures import make_secret
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync_tests.cli.command_line import add_account
from orders_sync_tests.privacy.test_erase import kept_of
from orders_sync_tests.subscriptions.conftest import Subscribe, settings


@pytest.fixture
def shops(tmp_path: Path, marketplace: Marketplace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`shop` shares its buyers' data, `other` does not. Returns the folder of the account files."""
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    add_account(tmp_path, marketplace, "shop", share_buyer_data=True)
    add_account(tmp_path, marketplace, "other")
    return tmp_path


def synced(marketplace: Marketplace, order_id: int, *names: str) -> None:
    an_order(marketplace, order_id, tracking_number="TRACK-1", delivery_note="https://x.example.com/note")
    for name in names or ("shop",):
        sync(accounts.find_account(name))


def claimed(connection: Connection, name: str = "erp") -> list[OrderEvent]:
    contents = [each.content for each in claim(connection, name, 10)]
    for content in contents:
        jsonschema.validate(content, event_schema(), format_checker=jsonschema.FormatChecker())
    return [event_from(content) for content in contents]


def test_who_asks_for_them_gets_them(
    shops: Path, marketplace: Marketplace, connection: Connection, subscribe: Subscribe
) -> None:
    subscribe(buyer_data=True)
    subscribe("other_team")
    synced(marketplace, 1)
    (event,) = claimed(connection)
    assert event.buyer is not None
    stored = connection.execute("SELECT shipping_first_name, shipping_last_name, shipping_city FROM orders").fetchone()
    address = event.buyer.shipping_address
    assert stored == (address.first_name, address.last_name, address.city)
    assert stored is not None and all(stored)
    assert (event.buyer.tracking_number, event.buyer.delivery_note_url) == ("TRACK-1", "https://x.example.com/note")
    (without,) = claimed(connection, "other_team")
    assert without.buyer is None
    (row,) = connection.execute("SELECT order_event(event_id)->>'buyer' FROM order_events").fetchall()
    assert row == (None,), "nor does whoever looks at the event"


def test_an_account_that_does_not_share_them_keeps_them(
    shops: Path, marketplace: Marketplace, connection: Connection, subscribe: Subscribe
) -> None:
    subscribe(buyer_data=True)
    synced(marketplace, 1, "other")
    synced(marketplace, 2, "shop")
    assert {(event.account, event.order_id, event.buyer is None) for event in claimed(connection)} == {
        ("other", "1", True), ("shop", "1", False), ("shop", "2", False),
    }  # fmt: skip


def test_an_account_may_end_it(
    shops: Path, marketplace: Marketplace, connection: Connection, subscribe: Subscribe
) -> None:
    subscribe(buyer_data=True)
    synced(marketplace, 1)
    add_account(shops, marketplace, "shop")
    asking = settings(buyer_data=True)
    assert register(connection, {"erp": asking}).changed == ["erp"]
    assert [event.buyer for event in claimed(connection)] == [None]


def test_a_subscription_whose_file_is_gone_gets_them_no_more(
    shops: Path, marketplace: Marketplace, connection: Connection, subscribe: Subscribe
) -> None:
    """Its consumer in SQL may go on."""
    subscribe(buyer_data=True)
    synced(marketplace, 1)
    register(connection, {})
    assert [event.buyer for event in claimed(connection)] == [None]


@pytest.mark.parametrize("is_batch", [False, True])
def test_what_a_failing_consumer_says_of_the_buyer_is_not_kept(
    shops: Path, marketplace: Marketplace, connection: Connection, subscribe: Subscribe, is_batch: bool
) -> None:
    def fails(given: Any) -> None:
        event = given[0] if is_batch else given
        raise ValueError(f"the ERP refuses {event.buyer.shipping_address.last_name}")

    subscribe(buyer_data=True)
    synced(marketplace, 1)
    consumer = OrderEventConsumer(fails, is_batch)
    made = consume(connection, "erp", consumer, DagsterConsumer(function="erp:deliver"), 5)
    (kept,) = connection.execute("SELECT problem FROM event_deliveries").fetchone() or ("",)
    assert made.problem == kept == "ValueError (its text is not kept, since the event has a buyer's data)"


def test_an_account_whose_file_can_not_be_used_shares_nothing(
    shops: Path, marketplace: Marketplace, connection: Connection, subscribe: Subscribe
) -> None:
    subscribe(buyer_data=True)
    synced(marketplace, 1)
    add_account(shops, marketplace, "shop", share_buyer_data="perhaps")
    register(connection, {"erp": settings(buyer_data=True)})
    assert [event.buyer for event in claimed(connection)] == [None]


def test_a_buyer_who_was_erased_is_in_no_later_delivery(
    shops: Path, marketplace: Marketplace, connection: Connection, subscribe: Subscribe
) -> None:
    subscribe(buyer_data=True)
    synced(marketplace, 1)
    records = find_records(connection, Buyer(order=("shop", "1")))
    erase(connection, records, kept_of, By("ann@desk", "asked for it", "orders-sync buyer erase"), "order shop 1")
    assert [event.buyer for event in claimed(connection)] == [None]


def test_the_export_of_a_buyer_lists_who_got_what(
    shops: Path, marketplace: Marketplace, connection: Connection, subscribe: Subscribe
) -> None:
    subscribe("carrier", buyer_data=True)
    subscribe("erp")
    synced(marketplace, 1)
    synced(marketplace, 2)
    acknowledge(connection, "carrier", [claim(connection, "carrier", 1)[0].event_id])
    (order,) = exported(connection, find_records(connection, Buyer(order=("shop", "1"))))["orders"]
    assert [(each["subscription"], each["may_have_buyer_data"], each["outcome"]) for each in order["deliveries"]] == [
        ("carrier", True, "delivered"), ("erp", False, None),
    ]  # fmt: skip


def test_an_account_that_the_subscription_does_not_name_is_not_asked(
    shops: Path, marketplace: Marketplace, connection: Connection, subscribe: Subscribe
) -> None:
    subscribe(buyer_data=True, accounts=["other"])
    assert connection.execute("SELECT buyer_accounts FROM subscriptions").fetchone() == ([],)


@pytest.mark.parametrize(
    ("url", "is_sent"), [("http://10.255.255.1/orders", False), ("http://127.0.0.1:9/orders", True)]
)
def test_they_are_sent_without_encryption_on_this_machine_only(
    url: str, is_sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERP_URL", url)
    monkeypatch.setenv("ERP_SECRET", make_secret())
    receiver = Receiver(Webhook(url="ERP_URL", secret="ERP_SECRET", allow_private=True))
    content: dict[str, Any] = {
        "id": "1", "account": "shop", "kind": "OrderCreated", "order_id": "1", "version": 1,
        "recorded_at": "2026-11-30T00:00:00Z", "buyer": {"email": "a@example.com"},
    }  # fmt: skip
    result, problem, _ = receiver.call(content)
    receiver.close()
    assert result is Result.FAILED
    expected = "it does not answer" if is_sent else "the event has a buyer's data: ERP_URL must begin with https"
    assert problem.startswith(expected)
