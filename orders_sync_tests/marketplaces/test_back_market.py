"""Back Market's records beyond the contract suite: what a line without a state of its own is."""

import json
from collections.abc import Iterator

import pytest

from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.adapter import Adapter
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.model.statuses import Status
from orders_sync_tests.marketplaces.back_market_contract import ORDER


@pytest.fixture
def adapter() -> Iterator[Adapter]:
    """Opened without calls: only its decoding is used."""
    settings = {"marketplace": "back_market", "token": "BACK_MARKET_SANDBOX_TOKEN", "limits": {"enforced": False}}
    opened = open_adapter(account_from("shop", settings, "defs.yaml"))
    yield opened
    opened.close()


def test_a_line_without_a_state_has_the_status_of_its_order(adapter: Adapter) -> None:
    line = {key: value for key, value in ORDER["orderlines"][0].items() if key != "state"}
    (item,) = adapter.decode_order(json.dumps({**ORDER, "orderlines": [line]}).encode()).items or []
    assert (item.status, item.marketplace_state) == (Status.SHIPPED, None)
