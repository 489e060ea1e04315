"""`orders-sync devices`: lists for people and programs."""

import json
from pathlib import Path

from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import add_account, run

IMEI = "356938035643809"


def test_devices_are_listed_and_what_is_missing_or_sold_twice(shop: Marketplace, tmp_path: Path) -> None:
    assert "None." in run("devices", "list").output
    assert "No account has `require_device_numbers: true`." in run("devices", "missing").output
    add_account(tmp_path, shop, "shop", require_device_numbers=True)
    for order_id, imei in ((1, IMEI), (2, IMEI), (3, "")):
        order = an_order(shop, order_id, state=9, line_state=3)
        shop.put({**order, "orderlines": [{**line, "imei": imei} for line in order["orderlines"]]})
    run("sync", "--type", "new")
    listed = json.loads(run("devices", "list", "--order", "2", "--json").output)
    assert [(row["item_id"], row["imeis"]) for row in listed] == [("200", IMEI)]
    assert run("devices", "list", "--number", "no such").output == "None.\n"
    assert "typo" in run("devices", "list", "--account", "typo").output
    assert [row["order_id"] for row in json.loads(run("devices", "missing", "--json").stdout)] == ["3"]
    duplicates = run("devices", "duplicates", "--csv").output.splitlines()
    assert duplicates[1:] == [f"{IMEI},shop,1,100,shipped,2", f"{IMEI},shop,2,200,shipped,2"]
