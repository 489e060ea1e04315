"""The jobs that do what the command line and the operator's pages do, as a person launches them in the UI."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orders_sync.database.engine import Connection
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import add_account, run

OPS = {
    "explain_order": "explain_one_order",
    "reread_order": "reread_one_order",
    "retry_rejected": "retry_rejected_of_accounts",
    "check_account": "check_one_account",
    "import_stock": "import_stock_levels",
}


def launched(definitions: dg.Definitions, job: str, **config: Any) -> dg.ExecuteInProcessResult:
    return definitions.resolve_job_def(job).execute_in_process(
        run_config={"ops": {OPS[job]: {"config": config}}}, tags={"user": "anna"}, raise_on_error=False
    )


def observed(result: dg.ExecuteInProcessResult) -> dg.AssetObservation:
    assert result.success
    (event,) = result.get_asset_observation_events()
    return event.asset_observation_data.asset_observation


def records(observation: dg.AssetObservation, table: str) -> list[dict[str, Any]]:
    found = observation.metadata[table]
    assert isinstance(found, dg.TableMetadataValue)
    return [dict(each.data) for each in found.records]


def problem_of(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    (event,) = result.get_step_failure_events()
    error = event.step_failure_data.user_failure_data
    assert error is not None, "it failed in one line, not with a traceback"
    return str(error.description)


def acts(connection: Connection) -> list[tuple[str, str, str]]:
    return connection.execute("SELECT act, actor, via FROM manual_acts WHERE actor = 'anna' ORDER BY act_id").fetchall()


def test_the_history_of_an_order_is_shown(definitions: dg.Definitions, shop: Marketplace) -> None:
    an_order(shop, 1)
    run("sync", "--type", "new")
    for name in ("1", "shop/1", "100"):
        observation = observed(launched(definitions, "explain_order", order=name))
        assert observation.description == "The history of order 1 of account shop"
    assert {"fact": "order_id", "value": "1"} in records(observation, "order")
    assert [item["item_id"] for item in records(observation, "items")] == ["100"]
    assert any("stored for the first time" in entry["text"] for entry in records(observation, "history"))
    assert problem_of(launched(definitions, "explain_order", order="nothing")).startswith("No order is named nothing.")
    assert problem_of(launched(definitions, "explain_order", order="\0")).startswith("No order is named")


def test_an_order_is_read_again_and_that_is_on_record(
    definitions: dg.Definitions, shop: Marketplace, connection: Connection
) -> None:
    an_order(shop, 1)
    run("sync", "--type", "new")
    connection.execute("UPDATE orders SET carrier = 'changed by hand'")
    result = launched(definitions, "reread_order", account="shop", order_id=" 1 ")
    assert observed(result).description == "Order 1 of account shop was read again: changed"
    assert connection.execute("SELECT carrier FROM orders").fetchall() != [("changed by hand",)]
    assert acts(connection) == [("sync_order", "anna", "Dagster job reread_order")]
    missing = problem_of(launched(definitions, "reread_order", account="shop", order_id="9"))
    assert "has no order 9" in missing
    assert "There is no account shpo" in problem_of(launched(definitions, "reread_order", account="shpo", order_id="1"))


def test_rejected_records_are_tried_again_and_one_account_that_is_down_stops_no_other(
    definitions: dg.Definitions, shop: Marketplace, connection: Connection, tmp_path: Path
) -> None:
    an_order(shop, 1, skus=("",))
    run("sync", "--type", "new")
    shop.world.scripted.clear()
    an_order(shop, 1)
    result = launched(definitions, "retry_rejected", reason="sku")
    assert records(observed(result), "accounts") == [
        {"account": "shop", "passed": 1, "still rejected": 0, "problem": ""}
    ]
    assert connection.execute("SELECT count(*) FROM orders").fetchall() == [(1,)]
    assert acts(connection) == [("retry_rejected", "anna", "Dagster job retry_rejected")]
    an_order(shop, 2, skus=("",))
    run("sync", "--type", "new")
    shop.world.scripted.clear()
    an_order(shop, 2)
    add_account(tmp_path, shop, "a_first_one", token="NOT_SET_TOKEN")
    (tmp_path / "an_odd_one").mkdir()
    (tmp_path / "an_odd_one" / "defs.yaml").write_text("attributes: [")
    problem = problem_of(launched(definitions, "retry_rejected"))
    assert problem.startswith("1 records passed, 0 are still rejected. Not tried: an_odd_one: ")
    assert "a_first_one: " in problem
    assert connection.execute("SELECT count(*) FROM orders").fetchall() == [(2,)]
    for config, said in (
        ({"kind": "orders"}, "allowed are order and care"),
        ({"record_id": "1"}, "`record_id` needs `account`"),
        ({"account": "shpo"}, "There is no account shpo"),
    ):
        assert said in problem_of(launched(definitions, "retry_rejected", **config))


def test_an_account_is_checked(definitions: dg.Definitions, shop: Marketplace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched(definitions, "check_account", account="shop").success
    shop.fault("status", status=401, times=0)
    assert "orders" in problem_of(launched(definitions, "check_account", account="shop"))


def test_stock_is_imported_from_a_text(definitions: dg.Definitions, connection: Connection) -> None:
    text = "sku,on_hand\nPHONE,5\nCASE,2\n"
    tried = observed(launched(definitions, "import_stock", csv=text, dry_run=True))
    assert tried.description == "2 SKUs would be imported; the pieces on hand of 2 differ from before"
    assert connection.execute("SELECT count(*) FROM stock_levels").fetchall() == [(0,)]
    observed(launched(definitions, "import_stock", csv=text))
    levels = connection.execute("SELECT sku, on_hand FROM stock_levels ORDER BY 1").fetchall()
    assert levels == [("CASE", 2), ("PHONE", 5)]
    assert acts(connection) == [("import_stock", "anna", "Dagster job import_stock")]
    wrong = problem_of(launched(definitions, "import_stock", csv="sku,on_hand\nPHONE,many\n"))
    assert wrong.startswith("line 2: ")
    assert "PHONE" in wrong
