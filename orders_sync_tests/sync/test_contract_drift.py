"""Contract drift: each pass samples records, and reports once what their adapter does not know."""

import logging
from typing import Any

import pytest

from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.sync.contract_drift import (
    FIRST_SAMPLE,
    SAMPLE_PER_PASS,
    VANISHED_AFTER,
    note_seen,
    seen_fields,
    stored_drift,
)
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

Found = list[tuple[str, str, str]]


def found(connection: Connection, **options: Any) -> Found:
    return [(one.field, one.what, one.detail) for one in stored_drift(connection, "shop", **options)]


def sampled(connection: Connection) -> int:
    row = connection.execute("SELECT records FROM contract_fields WHERE field = '' AND kind = 'order'").fetchone()
    return row[0] if row else 0


@pytest.fixture
def learned(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    """The account's records are known."""
    for number in range(1, FIRST_SAMPLE + 50):
        an_order(marketplace, number)
    sync(account)
    while sampled(connection) < FIRST_SAMPLE:
        change_all(marketplace, tracking_number=str(sampled(connection)))
        sync(account, "modified")


def change_all(marketplace: Marketplace, **fields: Any) -> None:
    for number in list(marketplace.world.scripted):
        marketplace.change(int(number), **fields)


@pytest.mark.parametrize("fake", [FakeBackMarket, FakeRefurbed, FakeMirakl])
def test_the_sandboxes_are_as_their_adapters_know_them(fake: type[FakeMarketplace], connection: Connection) -> None:
    with Marketplace(fake, orders=400, days=60) as marketplace:
        account = sandbox_account(marketplace)
        for _ in range(2):
            for sync_type in ("new", "modified", "care"):
                sync(account, sync_type)
            marketplace.pass_time(hours=20)
        assert found(connection) == []
        kinds = {(field.kind, field.is_read) for field in seen_fields(connection, "shop")}
        assert kinds >= {("order", True), ("order", False), ("care", True)}


def test_a_pass_without_changes_samples_nothing(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    sync(account)
    before = connection.execute("SELECT xmin, * FROM contract_fields ORDER BY field").fetchall()
    sync(account, "modified")
    assert connection.execute("SELECT xmin, * FROM contract_fields ORDER BY field").fetchall() == before


@pytest.mark.usefixtures("learned")
def test_a_new_field_is_reported_once_and_ends_when_it_is_seen(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    assert found(connection) == []
    known = sampled(connection)
    lines = [{**marketplace.world.scripted[1]["orderlines"][0], "eco_fee": 1.5}]
    with caplog.at_level(logging.WARNING, "orders_sync.sync"):
        change_all(marketplace, gift={"note": "secret"})
        marketplace.change(1, orderlines=lines)
        summary = sync(account, "modified")
    assert summary.problems == []
    assert sampled(connection) == known + SAMPLE_PER_PASS
    assert found(connection) == [("gift", "new field", "object"), ("orderlines[].eco_fee", "new field", "number")]
    assert "contract drift, new field gift: object (order)" in caplog.text
    assert "secret" not in caplog.text
    assert note_seen(connection, "shop", "gift", By("me@here", "")) == 1
    change_all(marketplace, gift={"note": "again"})
    sync(account, "modified")
    assert "gift" not in [field for field, _, _ in found(connection)]
    assert "gift" in [field for field, _, _ in found(connection, with_noted=True)]


@pytest.mark.usefixtures("learned")
def test_a_field_of_another_type_is_reported_whether_the_adapter_reads_it_or_not(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    change_all(marketplace, country_code=33, shipper={"name": "x"})
    sync(account, "modified")
    change_all(marketplace, country_code=33, shipper="x", is_backship=None)
    sync(account, "modified")
    assert found(connection) == [
        ("country_code", "new type", "number"),
        ("shipper", "new field", "object"),
        ("shipper", "new type", "text"),
    ]


@pytest.mark.usefixtures("learned")
def test_a_field_that_was_always_there_has_vanished_when_many_records_lack_it(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    for number, order in list(marketplace.world.scripted.items()):
        marketplace.world.scripted[number] = {name: v for name, v in order.items() if name != "country_code"}
    change_all(marketplace, tracking_number="without")
    sync(account, "modified")
    assert SAMPLE_PER_PASS >= VANISHED_AFTER
    assert found(connection) == [("country_code", "vanished field", "")]


@pytest.mark.usefixtures("learned")
def test_a_field_that_some_records_never_had_does_not_vanish(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    change_all(marketplace, date_payment="2026-11-01T10:00:00Z")
    sync(account, "modified")
    for number, order in list(marketplace.world.scripted.items()):
        marketplace.world.scripted[number] = {name: v for name, v in order.items() if name != "date_payment"}
    for turn in range(2):
        change_all(marketplace, tracking_number=str(turn))
        sync(account, "modified")
    assert found(connection) == []


def test_a_state_that_the_adapter_does_not_know_is_reported_at_once(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, state=77, line_state=78)
    an_order(marketplace, 2, country_code="secret")
    sync(account)
    assert found(connection) == [("orderlines[].state", "new value", "78"), ("state", "new value", "77")]
    assert {one.record_id for one in stored_drift(connection)} == {"1"}


def test_a_care_record_is_compared_whole(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    marketplace.put_folder(900, 100, choice="MAGIC")
    sync(account, "care")
    (drift,) = stored_drift(connection)
    assert (drift.kind, drift.marketplace, drift.field, drift.detail) == (
        "care",
        "back_market",
        "lines[].resolution_choice",
        "MAGIC",
    )


def test_a_sample_that_cannot_be_stored_fails_no_pass(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    connection.execute("ALTER TABLE contract_fields RENAME TO lost")
    an_order(marketplace, 1)
    assert sync(account).created == 1
    assert "the sample of its records could not be stored" in caplog.text


def test_no_value_is_stored_but_those_of_states(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, shipping_address={"firstName": "SECRET", "city": ["SECRET"], "SECRET SECRET": 1})
    sync(account)
    assert found(connection) == [("shipping_address.city", "new type", "list")]
    for table in ("contract_fields", "contract_drift"):
        rows = connection.execute(f"SELECT to_jsonb(row)::text FROM {table} row".encode()).fetchall()
        assert rows
        assert not any("SECRET" in text for (text,) in rows)
