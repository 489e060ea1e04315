"""What holds for every adapter, against a server that speaks its published contract over real HTTP."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.errors import RecordNotFoundError
from orders_sync.marketplaces.kit.registry import find_marketplace, open_adapter
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants, nothing_changed, snapshot
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync

ALL = ("new", "modified", "care", "incomplete")


@dataclass
class Contract:
    """The path of a contract's order list, and the names that its records use."""

    fake: type[FakeMarketplace]
    orders: str
    order_id: str
    state: str
    unlisted: tuple[Any, ...]
    unknown_state: Any
    buyer: tuple[str, ...]
    """Fields about the buyer."""


CONTRACTS = {
    "back_market": Contract(
        FakeBackMarket, "/ws/orders", "order_id", "state", (0, 8), 77, ("shipping_address", "billing_address")
    ),
    "refurbed": Contract(
        FakeRefurbed,
        "/refb.merchant.v1.OrderService/ListOrders",
        "id",
        "state",
        (),
        "TELEPORTED",
        ("customer_email", "shipping_address", "invoice_address"),
    ),
    "mirakl": Contract(
        FakeMirakl,
        "/api/orders",
        "order_id",
        "order_state",
        (),
        "TELEPORTED",
        ("customer", "customer_notification_email"),
    ),
}


@pytest.fixture(params=CONTRACTS)
def contract(request: pytest.FixtureRequest) -> Contract:
    return CONTRACTS[request.param]


@pytest.fixture
def living(contract: Contract) -> Iterator[Marketplace]:
    with Marketplace(contract.fake, orders=260, days=40) as opened:
        yield opened


@pytest.fixture
def shop(living: Marketplace) -> SellerAccount:
    return sandbox_account(living)


def listed(living: Marketplace, contract: Contract) -> dict[str, dict[str, Any]]:
    return {
        str(record[contract.order_id]): record
        for record in living.listed()
        if record[contract.state] not in contract.unlisted
    }


def statuses(connection: Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT order_id, status FROM orders").fetchall())


def test_all_four_syncs_bring_everything_and_then_find_nothing(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection
) -> None:
    import_levels(StockConnection(connection), {"IPHONE13-BLACK": 50})
    for sync_type in ALL:
        sync(shop, sync_type)
    apply_pending(StockConnection(connection))
    assert set(statuses(connection)) == set(listed(living, contract))
    assert connection.execute("SELECT count(*) FROM care_records").fetchone() != (0,)
    assert connection.execute("SELECT count(*) FROM care_record_items WHERE linked_at IS NULL").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM rejected_records").fetchone() == (0,)
    check_invariants(connection)
    before = snapshot(connection)
    for sync_type in ("new", "modified", "care"):
        nothing_changed(sync(shop, sync_type))
    assert snapshot(connection) == before


def test_orders_that_are_listed_are_not_fetched_one_by_one(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection
) -> None:
    before = {sync_type: sync(shop, sync_type).api_calls for sync_type in ("new", "modified")}
    skus = connection.execute("SELECT DISTINCT sku FROM order_items").fetchall()
    import_levels(StockConnection(connection), {sku: 1000 for (sku,) in skus})
    apply_pending(StockConnection(connection))
    assert connection.execute("SELECT count(*) FROM stock_locks WHERE state = 'locked'").fetchone() != (0,)
    assert sync(shop, "modified").api_calls == before["modified"]
    assert sync(shop, "new").api_calls <= before["new"]


def test_what_happens_at_the_marketplace_arrives(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection
) -> None:
    for sync_type in ALL:
        sync(shop, sync_type)
    before = statuses(connection)
    for _ in range(3):
        living.pass_time(hours=30)
        for sync_type in ALL:
            sync(shop, sync_type)
        apply_pending(StockConnection(connection))
        check_invariants(connection)
    table = next(iter(find_marketplace(shop.settings.marketplace).status_tables.values()))
    now = listed(living, contract)
    assert statuses(connection) == {order_id: table[record[contract.state]] for order_id, record in now.items()}
    assert statuses(connection) != before


def test_orders_that_arrive_while_pages_are_read_are_not_lost(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection
) -> None:
    living.fault("arrive", path=contract.orders, times=25)
    sync(shop, "new", page_size=20)
    living.calm()
    living.pass_time(minutes=5)
    sync(shop, "new", page_size=20)
    assert set(statuses(connection)) == set(listed(living, contract))
    check_invariants(connection)


def test_orders_that_change_while_pages_are_read_are_not_lost(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection
) -> None:
    """What is modified moves in its list, and may push others over the edge of a page that was read already."""
    sync(shop, "modified", page_size=20)
    apply_pending(StockConnection(connection))
    before = statuses(connection)
    living.pass_time(hours=20)
    living.fault("time", path=contract.orders, times=25, minutes=40)
    during = sync(shop, "modified", page_size=20)
    assert during.changed > 0
    living.calm()
    living.pass_time(minutes=5)
    sync(shop, "modified", page_size=20)
    apply_pending(StockConnection(connection))
    table = next(iter(find_marketplace(shop.settings.marketplace).status_tables.values()))
    now = {order_id: table[record[contract.state]] for order_id, record in listed(living, contract).items()}
    assert statuses(connection) == now != before
    check_invariants(connection)


def test_a_state_that_nobody_published_is_kept_and_reported(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection
) -> None:
    living.fault("patch", path=contract.orders, times=0, fields={contract.state: contract.unknown_state})
    sync(shop, "modified")
    assert set(statuses(connection).values()) == {"unknown"}
    kept = connection.execute("SELECT DISTINCT marketplace_state FROM orders").fetchall()
    assert kept == [(str(contract.unknown_state),)]
    living.calm()
    living.pass_time(minutes=1)
    sync(shop, "modified")
    assert "unknown" not in statuses(connection).values()
    check_invariants(connection)


def test_a_field_that_nobody_published_is_kept_raw(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection
) -> None:
    living.fault("patch", path=contract.orders, times=0, fields={"brand_new": {"and": ["nested"]}})
    sync(shop, "modified")
    kept = connection.execute("SELECT DISTINCT raw->'brand_new'->'and'->>0 FROM orders").fetchall()
    assert kept == [("nested",)]


def test_the_record_is_kept_whole(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection
) -> None:
    sync(shop, "modified")
    expected = {order_id: json.loads(json.dumps(record)) for order_id, record in listed(living, contract).items()}
    assert dict(connection.execute("SELECT order_id, raw FROM orders").fetchall()) == expected


ODDITIES = {
    "half of an emoji": r'"great \ud83d"',
    "the other half": r'"\udc4d great"',
    "NUL": r'"a\u0000b"',
    "a raw control character": '"a\x01b"',
    "a raw newline": '"a\nb"',
    "an unknown escape": r'"C:\Users"',
    "not a number": "NaN",
    "infinity": "-Infinity",
    "a number of 400 digits": "9" * 400,
    "an exponent beyond all bounds": "1e999999",
    "bytes that are not UTF-8": '"caf\xe9"',
    "lists nested 2,000 deep": "[" * 2_000 + "]" * 2_000,
    "objects nested 600 deep": '{"a":' * 600 + "1" + "}" * 600,
    "a key that is there twice": '{"a": 1, "a": 2}',
    "right-to-left marks": '"\\u202e\\u200fMaria"',
    "two megabytes of text": '"' + "x" * 2_000_000 + '"',
}


@pytest.mark.parametrize("oddity", ODDITIES)
def test_an_oddity_in_a_field_that_nobody_reads_keeps_no_order_out(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection, oddity: str
) -> None:
    """The oddity is in the first record of each page. All orders are stored, also that one, and stay as they are."""
    living.fault("oddity", path=contract.orders, times=0, text=ODDITIES[oddity])
    summary = sync(shop, "modified")
    assert (summary.rejected, set(statuses(connection))) == (0, set(listed(living, contract)))
    apply_pending(StockConnection(connection))
    check_invariants(connection)
    nothing_changed(sync(shop, "modified"))
    if "exponent" not in oddity:  # what is kept is JSON that PostgreSQL can search
        connection.execute("SELECT count(raw::jsonb) FROM orders")


@pytest.mark.parametrize("text", ['"an unfinished text', "{", '{"a" 1}', "", "1 2", "tru"])
def test_a_record_that_is_no_json_is_rejected_alone(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection, text: str
) -> None:
    """Even where it hides where it ends."""
    pages = -(-len(listed(living, contract)) // 50)
    living.fault("oddity", path=contract.orders, times=0, text=text)
    summary = sync(shop, "modified", page_size=50)
    assert summary.rejected <= pages + 1
    assert summary.created == len(listed(living, contract)) - summary.rejected
    if summary.rejected:
        what = connection.execute("SELECT DISTINCT reasons->0->>'what' FROM rejected_records").fetchall()
        assert what == [("is not valid JSON",)]
        assert (
            connection.execute("SELECT record_id FROM rejected_records WHERE record_id LIKE 'hash:%'").fetchall() == []
        )
    check_invariants(connection)


@pytest.mark.parametrize(
    "form",
    ["Qplanted", ["Qplanted"], {"firstName": ["Qplanted"], "first_name": ["Qplanted"], "firstname": ["Qplanted"]}],
    ids=["text", "list", "part"],
)
def test_a_flaw_or_rejection_shows_nothing_of_a_buyer(
    living: Marketplace,
    shop: SellerAccount,
    contract: Contract,
    connection: Connection,
    caplog: pytest.LogCaptureFixture,
    form: Any,
) -> None:
    """A pass's summary and logs go into Dagster's tables and files, which no retention reaches."""
    flawed = 0
    for key in contract.buyer:
        living.fault("patch", path=contract.orders, times=0, fields={key: form})
        with caplog.at_level("DEBUG"):
            summary = sync(shop, "modified")
        living.calm()
        flawed += summary.flawed
        assert "Qplanted" not in repr(summary)
        assert "Qplanted" not in repr(connection.execute("SELECT found, stored FROM record_flaws").fetchall())
    assert connection.execute("SELECT FROM orders WHERE raw::text LIKE '%Qplanted%' LIMIT 1").fetchall()
    assert flawed
    reported = """
    SELECT (SELECT string_agg(reasons::text, '') FROM rejected_records),
           (SELECT string_agg(flaw::text, '') FROM record_flaws flaw), string_agg(r::text, '') FROM lane_runs r
    """
    assert "Qplanted" not in repr(connection.execute(reported).fetchone())
    assert "Qplanted" not in caplog.text


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "status", "status": 401, "body": {"message": "no", "code": 16}}, "the credential is wrong"),
        ({"kind": "status", "status": 403, "body": "<html>blocked</html>"}, "its firewall blocks us"),
        ({"kind": "status", "status": 400, "body": {"message": "end of the world", "code": 3}}, "with 400: 3"),
        ({"kind": "no_filter"}, "it ignores the filter"),
        ({"kind": "huge", "bytes": 30_000_000}, "more than 20 MB"),
        ({"kind": "redirect", "location": "http://127.0.0.2/elsewhere"}, r"redirects .* to another host|with 302"),
    ],
)
def test_an_unreadable_list_stops_the_pass_with_one_clear_line(
    living: Marketplace,
    contract: Contract,
    connection: Connection,
    fault: dict[str, Any],
    reason: str,
) -> None:
    living.fault(**fault, path=contract.orders, times=0)
    with pytest.raises(PassFailedError) as problem:
        sync(sandbox_account(living, months_back=1), "modified")  # some of its orders are 40 days old
    assert re.search(reason, str(problem.value)), str(problem.value)
    assert "\n" not in str(problem.value)
    row = connection.execute("SELECT watermark FROM lanes WHERE sync_type = 'modified'").fetchone()
    assert row == (None,)


@pytest.mark.parametrize("kind", ["status", "truncate", "html", "reset"])
def test_a_passing_fault_is_tried_again(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection, kind: str
) -> None:
    living.fault(kind, path=contract.orders, times=1, status=503)
    summary = sync(shop, "modified")
    assert summary.retries == 1
    assert set(statuses(connection)) == set(listed(living, contract))


def test_a_retry_after_is_obeyed(
    living: Marketplace, shop: SellerAccount, contract: Contract, connection: Connection
) -> None:
    living.fault("status", path=contract.orders, times=1, status=429, headers={"Retry-After": "1"})
    summary = sync(shop, "modified")
    assert summary.too_many_requests == 1
    assert summary.seconds >= 1
    assert set(statuses(connection)) == set(listed(living, contract))


def test_each_probe_is_one_cheap_call(living: Marketplace, shop: SellerAccount) -> None:
    adapter = open_adapter(shop)
    try:
        assert adapter.probes()
        for endpoint, probe in adapter.probes().items():
            before = living.calls()
            try:
                probe()
            except RecordNotFoundError:
                assert endpoint == "ListShippingLabels"
            assert living.calls() == before + 1
    finally:
        adapter.close()
