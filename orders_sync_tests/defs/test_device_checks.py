"""The checks of devices: they warn, and show no IMEI."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.defs.orders.device_checks import no_device_sold_twice, shipped_with_device_numbers
from orders_sync.marketplaces.kit import accounts
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync_tests.cli.command_line import add_account

IMEI = "356938035643809"


def run(check: Any) -> dg.AssetCheckResult:
    result = check(orders_database=OrdersDatabase())
    assert isinstance(result, dg.AssetCheckResult)
    return result


@pytest.mark.usefixtures("database_url")
def test_the_checks_warn_of_what_ships_without_a_number_and_of_what_is_sold_twice(
    marketplace: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    add_account(tmp_path, marketplace, "shop")
    for order_id, imei in ((1, IMEI), (2, ""), (3, "")):
        order = an_order(marketplace, order_id, state=9, line_state=3)
        marketplace.put({**order, "orderlines": [{**line, "imei": imei} for line in order["orderlines"]]})
    sync(sandbox_account(marketplace))
    assert run(shipped_with_device_numbers).passed, "no account requires them"
    assert run(no_device_sold_twice).passed

    add_account(tmp_path, marketplace, "shop", require_device_numbers=True)
    missing = run(shipped_with_device_numbers)
    assert (missing.passed, missing.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert missing.metadata["rows"].value == 2
    assert missing.metadata["accounts that require them"].value == "shop"

    order = marketplace.world.scripted[3]
    marketplace.change(3, orderlines=[{**line, "imei": IMEI} for line in order["orderlines"]])
    sync(sandbox_account(marketplace), "modified")
    twice = run(no_device_sold_twice)
    assert (twice.passed, twice.metadata["rows"].value) == (False, 2)
    assert IMEI not in str(twice.metadata)
