"""The file with all differences between V1 and V2: `orders-sync cutover differences --csv FILE`."""

import csv
from pathlib import Path

from orders_sync.database.engine import Connection
from orders_sync_tests.cli.command_line import run


def test_a_spreadsheet_runs_no_value_of_it(connection: Connection, tmp_path: Path) -> None:
    connection.execute(
        "INSERT INTO migration_differences (account, day, order_id, kind, field, v1, v2, in_flight) "
        "VALUES ('shop', '2026-03-01', '-1', 'differs', 'sku', '=1+1', E'\\x1b[2J', false)"
    )
    file = tmp_path / "differences.csv"
    written = run("cutover", "differences", "--csv", str(file))
    assert written.exit_code == 0, written.output
    (row,) = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    assert (row["order_id"], row["item_id"], row["v1"], row["v2"]) == ("-1", "", "'=1+1", "^[[2J")
