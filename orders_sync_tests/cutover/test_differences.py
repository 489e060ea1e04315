"""The file with all differences between V1 and V2: `orders-sync cutover differences --csv FILE`."""

import csv
import json
from pathlib import Path

from orders_sync.database.engine import Connection
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.cutover.test_readiness import compared


def test_a_spreadsheet_runs_no_value_of_it(connection: Connection, tmp_path: Path) -> None:
    compared(connection, 1)
    connection.execute(
        "INSERT INTO migration_differences (comparison_id, account, day, order_id, kind, field, v1, v2, in_flight) "
        "SELECT comparison_id, account, day, '-1', 'differs', 'sku', '=1+1', E'\\x1b[2J', false FROM migration_comparisons"
    )
    file = tmp_path / "differences.csv"
    written = run("cutover", "differences", "--csv", str(file))
    assert written.exit_code == 0, written.output
    (row,) = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    assert (row["order_id"], row["item_id"], row["v1"], row["v2"]) == ("-1", "", "'=1+1", "^[[2J")


def test_those_of_the_latest_comparison_are_listed_or_those_of_a_day(connection: Connection) -> None:
    for days_ago, order_id in ((3, "1"), (2, "2"), (2, "3")):
        compared(connection, days_ago)
        connection.execute(
            "INSERT INTO migration_differences (comparison_id, account, day, order_id, kind, field, in_flight) SELECT "
            "comparison_id, account, day, %s, 'differs', 'sku', false FROM migration_comparisons "
            "ORDER BY comparison_id DESC LIMIT 1",
            [order_id],
        )

    def listed(*options: str) -> list[str]:
        return [row["order_id"] for row in json.loads(run("cutover", "differences", "--json", *options).output)]

    assert listed() == ["3"]
    assert listed("--day", "2026-03-07") == ["1"]
    assert listed("--day", "2026-03-01") == []
