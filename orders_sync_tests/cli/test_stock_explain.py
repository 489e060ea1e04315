"""`orders-sync stock explain`, and what the commands that decide about locks say, for every name of a SKU."""

import json
from pathlib import Path

from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run


def test_a_marketplaces_sku_is_explained_in_text_and_json(shop: Marketplace, tmp_path: Path) -> None:
    levels, aliases = tmp_path / "stock.csv", tmp_path / "skus.csv"
    levels.write_text("sku,on_hand\nPHONE,5\n")
    aliases.write_text("sku,stock_sku\nPHONE-FR,PHONE\n")
    run("stock", "import", str(levels))
    run("stock", "skus", "import", str(aliases))
    an_order(shop, 1, skus=("PHONE-FR",))
    run("sync", "--type", "new")
    waiting = json.loads(run("stock", "explain", " PHONE ", "--json").output)
    assert [(each["item_id"], each["sku"]) for each in waiting["pending"]] == [("100", "PHONE-FR")]
    run("stock", "apply")
    found = json.loads(run("stock", "explain", "PHONE-FR", "--json").output)
    assert [(each["sku"], each["ordered_sku"], each["locked"]) for each in found["holders"]] == [
        ("PHONE", "PHONE-FR", 1)
    ]
    assert found["stock_skus"] == [{"account": "", "sku": "PHONE-FR", "stock_sku": "PHONE", "pieces": 1}]
    text = run("stock", "explain", "PHONE-FR").output
    titles = ("SKU PHONE: 5 on hand, 1 reserved", "Active locks", "Aliases and bundles", "Transitions of locks")
    assert [text.index(title) for title in titles] == sorted(text.index(title) for title in titles)
    nobody = run("stock", "explain", " NO\x1bBODY ")
    assert (nobody.exit_code, "no SKU, order or item named 'NO\\x1bBODY'" in nobody.output) == (1, True)


def test_a_decision_that_changes_no_lock_is_on_record_and_one_that_can_not_hold_is_refused(shop: Marketplace) -> None:
    an_order(shop, 1)
    run("sync", "--type", "new")
    run("stock", "apply")
    noted = run("stock", "lock", "shop", "100", "--reason", "promised")
    assert "No lock changed: the item's lock is so already. The decision is on record." in " ".join(
        noted.output.split()
    )
    assert "promised" in run("stock", "explain", "PHONE").output
    shop.pass_time(minutes=1)
    shop.set_states(1, 9, 3)
    run("sync", "--type", "modified")
    refused = run("stock", "lock", "shop", "100", "--reason", "promised")
    assert refused.exit_code == 1
    assert "The item 100 is shipped: its pieces have left, and none is held." in " ".join(refused.output.split())
