"""A SKU that a marketplace sent to harm who looks at it: no command obeys it, and no CSV file carries it on."""

import csv
import io
import json
from pathlib import Path

from orders_sync.model.control_characters import without_control
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.hostile_texts import FORMULA, IMAGE, SKUS


def test_commands_show_it(shop: Marketplace) -> None:
    for number, sku in enumerate(SKUS, start=1):
        an_order(shop, number, skus=(sku,))
    synced = run("sync", "--type", "new")
    assert synced.exit_code == 0, synced.output
    run("stock", "apply")
    for sku in SKUS:
        explained = run("stock", "explain", sku)
        assert explained.exit_code == 0, explained.output
        shown = " ".join(explained.output.split())
        assert f"SKU {without_control(sku)}: not in the stock list, 0 reserved, 1 short" in shown
        assert "Active locks" in shown
        assert not set("\x1b\x07\x9b\u202e") & set(explained.output)
        assert run("stock", "explain", "--json", sku).output.isascii()


def test_what_is_exported_can_be_imported_again(shop: Marketplace, tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    with first.open("w", newline="") as file:
        rows = [("sku", "stock_sku", "pieces"), (FORMULA, "PHONE", 2), ("'=1", "CASE", 1), ("-3", IMAGE, 1)]
        csv.writer(file).writerows([(f"'{row[0]}" if row[0][:1] in "=-'" else row[0], *row[1:]) for row in rows])
    assert run("stock", "skus", "import", str(first)).exit_code == 0
    before = json.loads(run("stock", "skus", "list", "--json").output)
    assert {each["sku"] for each in before} == {FORMULA, "'=1", "-3"}
    exported = run("stock", "skus", "list", "--csv").stdout
    assert {row["sku"] for row in csv.DictReader(io.StringIO(exported))} == {f"'{FORMULA}", "''=1", "-3"}
    second.write_text(exported)
    run("stock", "skus", "import", "--remove-all")
    assert run("stock", "skus", "import", str(second)).exit_code == 0
    assert json.loads(run("stock", "skus", "list", "--json").output) == before
