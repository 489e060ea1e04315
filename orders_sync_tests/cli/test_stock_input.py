"""What is typed about stock and can't be used is answered in one line, with the exit code of a failure."""

import json
from pathlib import Path

import pytest

from orders_sync.database.engine import Connection
from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.cli.command_line import run

BY_HAND = ("--reason", "a test", "--")


def import_file(tmp_path: Path, text: str, *options: str, command: tuple[str, ...] = ("import",)) -> str:
    """What the import of a file with this text prints, on one line."""
    (tmp_path / "file.csv").write_text(text)
    return " ".join(run("stock", *command, str(tmp_path / "file.csv"), *options).output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("adjust", *BY_HAND, "PHONE", "0"), "0 pieces change nothing"),
        (("adjust", *BY_HAND, " ", "1"), "sku is empty"),
        (("adjust", *BY_HAND, "X" * 201, "1"), "sku is 201 characters long"),
        (("adjust", *BY_HAND, "PH\x00NE", "1"), "has a character that can't be stored"),
        (("adjust", "--reason", " ", "PHONE", "1"), "the reason is empty: say why"),
        (("buffer", "--pieces", "-1"), "the buffer in pieces is -1; allowed"),
        (("buffer", "--sku", "X" * 201, "--pieces", "1"), "sku is 201 characters long"),
        (("lock", "shop", "1\x00", "--reason", "x"), "the item's id '1\\x00' has a character that can't be stored"),
        (("return", "shop", "1", "0", "--reason", "x"), "the number of pieces is 0; allowed is a whole number from 1"),
        (("return", "shop", "--care", "\x00", "--reason", "x"), "the care record's id '\\x00' has a character"),
        (("retry-event", "9" * 23, "--reason", "x"), f"There is no failed event {'9' * 23}"),
        (("skip-event", "1", "--reason", " "), "the reason is empty: say why"),
        (("explain", "x\x00"), "There is no SKU, order or item named 'x\\x00'"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("shop")
def test_a_value_that_can_not_be_used_is_answered(arguments: tuple[str, ...], message: str) -> None:
    answer = run("stock", *arguments)
    assert answer.exit_code == 1
    assert message in answer.output
    assert answer.output.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("adjust", *BY_HAND, "PHONE", "99999999999"),
        ("buffer", "--pieces", "3000000000"),
        ("buffer", "--percent", "101"),
        ("return", "shop", "1", "99999999999", "--reason", "x"),
        ("skip-event", "9" * 23, "--reason", "x"),
    ],
)
def test_a_number_out_of_bounds_is_answered_with_the_bounds(arguments: tuple[str, ...]) -> None:
    answer = run("stock", *arguments)
    assert answer.exit_code == 2
    assert "is not in the range" in answer.output


@pytest.mark.usefixtures("shop")
def test_a_count_time_is_checked_in_the_option_as_in_the_file(tmp_path: Path) -> None:
    text = "sku,on_hand\nPHONE,5\n"
    assert "--counted-at is '0001-01-01', which is before 2000" in import_file(
        tmp_path, text, "--counted-at", "0001-01-01"
    )
    assert "which is in the future" in import_file(tmp_path, text, "--counted-at", "2099-01-01")
    assert "1 SKUs imported" in import_file(tmp_path, text, "--counted-at", "2026-03-01T09:00+01:00")
    assert json.loads(run("stock", "levels", "--json").output)[0]["counted at"] == "2026-03-01T08:00:00+00:00"


@pytest.mark.usefixtures("shop")
def test_a_sku_that_no_order_can_get_is_said(tmp_path: Path) -> None:
    new = run("stock", "adjust", "--reason", "found", " PHONEE", "1")
    assert new.output == "SKU PHONEE was not in the stock list. It is now, with 1 pieces on hand.\n"
    assert run("stock", "adjust", "--reason", "found", "PHONEE", "1").output == "SKU PHONEE: 2 pieces on hand.\n"
    assert (
        "SKU TYPO is not in the stock list: its buffer counts once it is."
        in run("stock", "buffer", "--sku", "TYPO", "--pieces", "1").output
    )
    aliases = "sku,stock_sku,pieces\nPHONEE,PHONE,1\nSET,PHONE,1\nSET,CASE,2\n"
    said = import_file(tmp_path, aliases, command=("skus", "import"))
    assert "SKU PHONEE has pieces on hand, and no order gets them any more" in said
    for refused in (
        run("stock", "adjust", "--reason", "x", "PHONEE", "1"),
        run("stock", "buffer", "--sku", "PHONEE", "--pieces", "1"),
    ):
        assert (refused.exit_code, "SKU PHONEE is an alias of PHONE" in refused.output) == (1, True)
    assert "SKU SET is a bundle of 2 CASE and PHONE" in import_file(tmp_path, "sku,on_hand\nSET,1\n")


@pytest.mark.usefixtures("shop")
def test_all_aliases_are_removed_only_by_an_option_that_says_so(tmp_path: Path) -> None:
    skus = ("skus", "import")
    import_file(tmp_path, "sku,stock_sku\nPHONE-FR,PHONE\n", command=skus)
    refused = import_file(tmp_path, "sku,stock_sku\n", command=skus)
    assert "would remove all aliases and bundles. If you mean that, use `orders-sync stock skus import --rem" in refused
    assert run("stock", "skus", "import").exit_code == 2
    assert len(json.loads(run("stock", "skus", "list", "--json").output)) == 1
    assert run("stock", "skus", "import", "--remove-all").exit_code == 0
    assert json.loads(run("stock", "skus", "list", "--json").output) == []


@pytest.mark.usefixtures("shop")
def test_repair_prints_for_programs_only_what_they_read(connection: Connection) -> None:
    assert (run("stock", "repair", "--json").stdout, run("stock", "repair").stdout) == (
        "[]\n",
        "Every lock is what its item needs.\n",
    )
    run("stock", "adjust", "--reason", "found", "PHONE", "3")
    connection.execute(
        "INSERT INTO stock_locks (account, item_id, sku, order_id, quantity, locked, short, consumed, state) "
        "VALUES ('shop', '100', 'PHONE', '1', 1, 0, 1, 0, 'short')"
    )
    connection.execute(
        "INSERT INTO orders (account, order_id, status, created_at, modified_at, raw, fingerprint) "
        "VALUES ('shop', '1', 'cancelled', now(), now(), '{}', '')"
    )
    connection.execute(
        "INSERT INTO order_items (account, order_id, item_id, sku, quantity, status, kind) "
        "VALUES ('shop', '1', '100', 'PHONE', 1, 'cancelled', 'goods')"
    )
    [wrong] = json.loads(run("stock", "repair", "--json").stdout)
    assert (wrong["pieces"], wrong["needed"]) == (1, 0)
    repaired = run("stock", "repair", "--yes", "--csv")
    assert repaired.stdout.splitlines()[1:] == ["shop,1,100,PHONE,cancelled,1,0,the item needs 0 pieces instead of 1"]
    assert repaired.stderr == "1 locks are now released.\n"


def test_an_account_with_an_error_in_its_file_stays_in_the_list_of_what_is_available(
    shop: Marketplace, tmp_path: Path
) -> None:
    run("stock", "adjust", "--reason", "found", "PHONE", "3")
    file = tmp_path / "shop" / "defs.yaml"
    file.write_text(file.read_text().replace("limits:", "limit:"))
    assert [row["available"] for row in json.loads(run("stock", "available", "--json").output)] == [3]
