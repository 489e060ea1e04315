"""URLs of every adapter that are no web addresses: none is stored, and the order and its other documents are."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.database.tables import metadata
from orders_sync.marketplaces.kit import retries
from orders_sync.testing.marketplace import sync
from orders_sync_tests.marketplaces.scripted_shop import MARKETPLACES, ScriptedShop, account_at, an_order_at
from orders_sync_tests.marketplaces.test_odd_documents import a_label, answering

HOSTILE = (
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "vbscript:x",
    "data:text/html,<script>alert(1)</script>", "file:///etc/passwd", "blob:https://x.example/1", "ftp://x.example/1",
    "intent://x#Intent;end", "http:alert(1)", "https://x.example/a b", "https://x.example/\n",
)  # fmt: skip
GOOD = "https://carrier.example.com/1"


@pytest.fixture(params=MARKETPLACES)
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ScriptedShop:
    monkeypatch.setenv("SCRIPTED_SHOP_TOKEN", "secret")
    for name in ("FIRST_BACKOFF_SECONDS", "MAX_BACKOFF_SECONDS", "BACKOFF_JITTER_SECONDS"):
        monkeypatch.setattr(retries, name, 0.0)
    return ScriptedShop(request.param)


@pytest.fixture
def account(shop: ScriptedShop, connection: Connection) -> Iterator[SellerAccount]:
    with account_at(shop) as opened:
        yield opened


def with_urls(marketplace: str, order: dict[str, Any], url: str) -> dict[str, Any]:
    """The order with this URL in each place where the contract has one."""
    order = copy.deepcopy(order)
    match marketplace:
        case "back_market":
            order |= {"tracking_url": url, "delivery_note": url}
        case "refurbed":
            order["items"][0]["parcel_tracking_url"] = url
        case "mirakl":
            order["shipping_tracking_url"] = url
        case _:
            order["fulfillments"] = [{"id": "f1", "labels": [{"tracking_url": url, "label_url": url}]}]
    return order


LABEL_URL = {"back_market": "labelUrl", "refurbed": "label_printer_url", "mirakl": None, "medusa": "label_url"}
"""Where a marketplace's label has its URL; Mirakl's is made from the id of the document."""


def stored_urls(connection: Connection) -> list[str]:
    """Each URL in any column that is one by its name."""
    return [
        url
        for table in metadata.tables.values()
        for column in table.columns
        if column.name == "url" or column.name.endswith("_url")
        for (url,) in connection.execute(
            f"SELECT {column.name} FROM {table.name} WHERE {column.name} IS NOT NULL".encode()
        )
    ]


@pytest.mark.parametrize("url", HOSTILE, ids=repr)
def test_a_url_that_is_no_web_address_is_not_stored(
    shop: ScriptedShop, account: SellerAccount, connection: Connection, url: str
) -> None:
    plain = [an_order_at(shop.marketplace, number) for number in (1, 2)]
    shop.orders = [with_urls(shop.marketplace, plain[0], url), with_urls(shop.marketplace, plain[1], GOOD)]
    sync(account)
    assert [row[0] for row in connection.execute("SELECT order_id FROM orders ORDER BY 1")] == ["1", "2"]
    assert set(stored_urls(connection)) == {GOOD}
    connection.execute("UPDATE orders SET label_url = NULL")
    name = LABEL_URL[shop.marketplace]

    def labels(number: int) -> list[Any]:
        own = a_label(shop.marketplace, number, 10 + number)
        return [{**own, name: url} if name is not None and number == 1 else own]

    shop.answer = answering(shop.marketplace, labels)
    assert sync(account, "incomplete").documents_found >= 1
    found = stored_urls(connection)
    assert found
    assert [each for each in found if not each.startswith(("http://", "https://"))] == []
    assert connection.execute("SELECT count(*) FROM orders WHERE label_url IS NOT NULL").fetchone() == (
        2 if name is None else 1,
    )
