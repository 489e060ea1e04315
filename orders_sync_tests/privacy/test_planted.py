"""Nothing of a buyer is left in the database, whatever field of a record it came in."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.privacy.retention import blank_buyers_data
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.testing.adapter_contract import AdapterContract
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync_tests.marketplaces import back_market_contract, medusa_contract, mirakl_contract, refurbed_contract
from orders_sync_tests.privacy.planted import MARK, paths, places, planted

ORDER_ID = {"back_market": "order_id", "mirakl": "order_id", "refurbed": "id"}


@pytest.mark.parametrize("fake", [FakeBackMarket, FakeRefurbed, FakeMirakl])
def test_no_marker_of_an_order_is_left_in_any_table(fake: type[FakeMarketplace], connection: Connection) -> None:
    fields = find_marketplace(fake.name).kept_fields
    with Marketplace(fake) as marketplace, Marketplace(fake, orders=30, days=3) as source:
        for number, record in enumerate(source.listed()):
            order = planted(record, fields.order)
            key = order[ORDER_ID[fake.name]]
            marketplace.world.scripted[key] = order
            if number % 5 == 0:  # one that is rejected: its items say nothing of a quantity
                lines = next(name for name in ("orderlines", "items", "order_lines") if name in order)
                order[lines] = [{"note": f"{MARK}-line"}]
        marketplace.world.version += 1
        account = sandbox_account(marketplace, retention_days=30, days_back=90)
        sync(account)
        sync(account, "modified")
        before = places(connection)
        assert {"orders.raw", "orders.shipping_last_name", "rejected_records.raw"} <= set(before)
        blanked = blank_buyers_data(connection, account, marketplace.now() + timedelta(days=40))
        assert blanked.orders > 0
        assert blanked.rejected_records > 0
        assert places(connection) == []
        check_invariants(connection)


def test_no_marker_of_a_care_record_or_document_is_left(marketplace: Marketplace, connection: Connection) -> None:
    fields = find_marketplace("back_market").kept_fields
    with Marketplace(FakeBackMarket, orders=200, days=20) as source:
        orders = {order["order_id"]: order for order in source.listed()}
        marketplace.world.scripted.update(orders)
        for order in orders.values():
            label = {
                "order": order["order_id"],
                "trackingNumber": f"{MARK}T",
                "labelUrl": f"https://x.example.com/{MARK}",
            }
            order["_deliveries"] = [label]
        lines = [line["id"] for order in orders.values() for line in order["orderlines"]]
    marketplace.world.version += 1
    for number, line in enumerate(lines[:10]):
        marketplace.put_folder(900 + number, line, messages=[{"message": "hello", "client": {"email": "a@b.example"}}])
        folder = marketplace.world.scripted_folders[900 + number]
        folder["detail"] = planted(folder["detail"], fields.care)
    account = sandbox_account(marketplace, retention_days=30, days_back=90)
    for sync_type in ("new", "care", "incomplete"):
        sync(account, sync_type)
    assert {"care_records.raw", "order_documents.url", "order_documents.tracking_number"} <= set(places(connection))
    blanked = blank_buyers_data(connection, account, marketplace.now() + timedelta(days=40))
    assert blanked.care_records == 10
    assert places(connection) == []


CONTRACTS: Mapping[str, AdapterContract] = {
    "back_market": back_market_contract.CONTRACT,
    "medusa": medusa_contract.CONTRACT,
    "mirakl": mirakl_contract.CONTRACT,
    "refurbed": refurbed_contract.CONTRACT,
}


@pytest.mark.parametrize("name", CONTRACTS)
def test_of_a_contracts_records_only_the_named_fields_stay(name: str) -> None:
    fields, contract = find_marketplace(name).kept_fields, CONTRACTS[name]
    for kind, allowed, examples in (
        ("order", set(fields.order), [contract.order]),
        ("care", set(fields.care), contract.care),
    ):
        for example in examples:
            left = fields.part_of(kind, json.dumps(planted(dict(example.record), ()), default=str).encode())
            assert set(paths(json.loads(left))) <= allowed
            record = json.dumps(planted(dict(example.record), allowed), default=str).encode()
            assert MARK.encode() in record
            assert MARK.encode() not in fields.part_of(kind, record)


NOT_KEPT = {
    "buyer_email", "shipping", "billing", "tracking_number", "tracking_url", "delivery_note_url", "label_url",
    "documents", "imeis", "serial_numbers",
}  # fmt: skip
"""Of an order and its items: what is about the buyer, or leads there."""


@pytest.mark.parametrize("name", CONTRACTS)
def test_what_stays_is_read_as_before(name: str) -> None:
    """`redecode` reads blanked records, too: statuses, amounts, SKUs and times are all there."""
    fields, contract = find_marketplace(name).kept_fields, CONTRACTS[name]
    adapter = contract.open()
    try:
        raw = json.dumps(contract.order.record, default=str).encode()
        whole, part = adapter.decode_order(raw), adapter.decode_order(fields.part_of("order", raw))
        for kept, before in ((part, whole), *zip(part.items or (), whole.items or (), strict=True)):
            assert _differing(kept, before) <= NOT_KEPT
        for example in contract.care:
            raw = json.dumps(example.record, default=str).encode()
            part, whole = adapter.decode_care_record(fields.part_of("care", raw)), adapter.decode_care_record(raw)
            assert _differing(part, whole) == set()
    finally:
        adapter.close()


def _differing(one: Any, other: Any) -> set[str]:
    return {name for name in one.__struct_fields__ if name != "items" and getattr(one, name) != getattr(other, name)}
