"""What Dagster shows: names, groups, partitions, pools; and an invalid account, which affects no other account."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import yaml

from orders_sync.components.account import Account
from orders_sync.config import crons
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.config.pages import REJECTED_PAGE, STOCK_PAGE
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import connect
from orders_sync.model.lane import SyncType
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.testing.deployment import SANDBOX_ACCOUNTS
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

SNAPSHOT = Path(__file__).parent / "definitions.yaml"
UPDATE = "UPDATE_SNAPSHOT"
ASSET_JOB = "__ASSET_JOB"


def test_the_definitions_are_those_of_the_snapshot(definitions: dg.Definitions) -> None:
    """A change of what the UI shows is seen in review, as a change of definitions.yaml."""
    shown = snapshot(definitions.get_repository_def())
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(shown)
    assert shown.splitlines() == SNAPSHOT.read_text().splitlines(), (
        f"The definitions have changed. If that is intended, update the snapshot and commit it:\n"
        f"{UPDATE}=1 .venv/bin/pytest -n 0 {Path(__file__).relative_to(PROJECT_ROOT)} -k snapshot"
    )


def test_no_run_loads_what_only_a_report_needs() -> None:
    """Each run loads all definitions. pandas alone took 2 s of its CPU, and 90 MB of the code server's memory."""
    program = (
        "import sys; from orders_sync.definitions import defs; defs(); "
        "print([name for name in ('pandas', 'numpy', 'pyarrow', 'matplotlib', 'starlette', 'apprise', 'authlib') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_jobs_that_a_dead_worker_must_not_repeat_have_no_retries(definitions: dg.Definitions) -> None:
    """A worker may die after the act was stored. Assets and their checks can be repeated; the other three only read."""
    repository = definitions.get_repository_def()
    of_ops = [job for job in repository.get_all_jobs() if not job.asset_layer.selected_asset_keys]
    assert len(of_ops) > 7
    repeated = {job.name for job in of_ops if job.tags.get("dagster/max_retries") != "0"}
    assert repeated == {"check_whole_tables", "explain_lock", "explain_order", "check_account"}


def snapshot(repository: dg.RepositoryDefinition) -> str:
    """All definitions as YAML, sorted by name."""
    graph = repository.asset_graph
    assets: dict[str, Any] = {}
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        assets[key.to_user_string()] = {
            "group": node.group_name,
            "kinds": sorted(node.kinds or []),
            "owners": sorted(node.owners),
            "pools": sorted(node.pools or []),
            "partitions": type(node.partitions_def).__name__ if node.partitions_def else None,
            "checks": sorted(check.name for check in node.check_keys),
        }
    jobs = {
        job.name: {"runs": sorted(node.name for node in job.nodes)}
        for job in sorted(repository.get_all_jobs(), key=lambda job: job.name)
        if job.name != ASSET_JOB  # Dagster's own, of all assets
    }
    schedules = {
        schedule.name: {
            "job": schedule.job_name,
            "cron": schedule.cron_schedule,
            "timezone": schedule.execution_timezone or "UTC",
            "default": schedule.default_status.value,
        }
        for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name)
    }
    sensors = {
        sensor.name: {
            "targets": str(sensor.asset_selection) if sensor.asset_selection else [t.job_name for t in sensor.targets],
            "seconds": sensor.minimum_interval_seconds,
            "default": sensor.default_status.value,
        }
        for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name)
    }
    resources = sorted(repository.get_top_level_resources())
    everything = {"assets": assets, "jobs": jobs, "schedules": schedules, "sensors": sensors, "resources": resources}
    return yaml.safe_dump(everything, sort_keys=False, default_flow_style=None, width=120)


def test_each_account_has_four_assets_and_what_plots_their_passes_in_its_group(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for account in SANDBOX_ACCOUNTS:
        of_account = [key for key in graph.get_all_asset_keys() if key.path[0] == account]
        names = {key.path[-1] for key in of_account if graph.get(key).group_name == account}
        lanes = {"new_orders", "modified_orders", "care_records", "incomplete_orders"}
        assert names == lanes | {"new_passes", "modified_passes", "care_passes"}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        assert node.group_name in (*SANDBOX_ACCOUNTS, "orders", "stock", "reports", "operations", "cutover")


def test_the_page_of_a_sync_links_to_the_accounts_file_and_to_the_code(definitions: dg.Definitions) -> None:
    spec = definitions.resolve_assets_def(dg.AssetKey(["mirakl_sandbox", "new_orders"])).get_asset_spec()
    links = spec.metadata["dagster/code_references"].code_references
    assert [Path(link.file_path).name for link in links] == ["defs.yaml", "lane_asset.py"]
    assert links[0].label == "mirakl_sandbox/defs.yaml"


def test_the_lineage_runs_from_the_syncs_to_stock_and_reports(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    ancestors = graph.get_ancestor_asset_keys(dg.AssetKey("daily_summary"))
    assert {dg.AssetKey(["back_market_sandbox", name]) for name in ("new_orders", "modified_orders")} <= ancestors
    assert {dg.AssetKey(name) for name in ("orders", "order_items", "order_events", "stock_locks")} <= ancestors


def test_backfills_are_one_run_and_lanes_are_pools(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for sync_type in SyncType:
        name = {"new": "new_orders", "modified": "modified_orders", "care": "care_records"}.get(
            sync_type, "incomplete_orders"
        )
        node = graph.get(dg.AssetKey(["back_market_sandbox", name]))
        assert node.pools == {f"back_market_sandbox/{sync_type}"}
        if sync_type is SyncType.INCOMPLETE:
            assert node.partitions_def is None
        else:
            assert node.backfill_policy == dg.BackfillPolicy.single_run()


def test_every_asset_is_run_by_a_job(definitions: dg.Definitions) -> None:
    """An asset that no job selects would run only by hand, without a warning."""
    repository = definitions.get_repository_def()
    run = {
        key
        for job in repository.get_all_jobs()
        if job.name != ASSET_JOB
        for key in job.asset_layer.executable_asset_keys
    }
    shown_by_its_sensor = {dg.AssetKey("doctor")}
    assert repository.asset_graph.materializable_asset_keys - run == shown_by_its_sensor


def test_the_job_of_the_reports_runs_a_report_that_is_added(definitions: dg.Definitions) -> None:
    @dg.asset(group_name="reports")
    def weekly_summary() -> None: ...

    added = dg.Definitions.merge(dg.Definitions(assets=[weekly_summary]), definitions)
    job = added.resolve_job_def("daily_reports")
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {
        "daily_summary",
        "weekly_summary",
    }


def test_the_four_schedules_run_by_default(definitions: dg.Definitions) -> None:
    ours = [s for s in definitions.schedules or [] if s.name.startswith("sync_")]
    schedules = {s.name: s for s in ours if isinstance(s, dg.ScheduleDefinition)}
    assert {name: s.cron_schedule for name, s in schedules.items()} == {
        "sync_new_orders_schedule": crons.SYNC_NEW,
        "sync_modified_orders_schedule": crons.SYNC_MODIFIED,
        "sync_care_records_schedule": crons.SYNC_CARE,
        "sync_incomplete_orders_schedule": crons.SYNC_INCOMPLETE,
    }
    assert len(ours) == len(schedules)
    assert all(s.default_status == dg.DefaultScheduleStatus.RUNNING for s in schedules.values())


def test_the_assets_of_an_invalid_account_show_the_reason_and_its_runs_fail_with_it(database_url: str) -> None:
    context = cast(dg.ComponentLoadContext, SimpleNamespace(path=Path("defs/accounts/broken")))  # all that is read
    definitions = Account({"marketplace": "back_market", "token": "T", "page_size": 900}).build_defs(context)
    asset = next(iter(definitions.assets or []))
    assert isinstance(asset, dg.AssetsDefinition)
    reason = "page_size: Input should be less than or equal to 50"
    assert reason in " ".join(str(asset.descriptions_by_key[asset.key]).split())
    result = dg.materialize(
        [asset],
        partition_key="2026-01-01",
        raise_on_error=False,
        resources={"orders_database": OrdersDatabase()},
    )
    assert not result.success
    failure = result.get_step_failure_events()[0].step_failure_data
    assert reason in str(failure.error) or reason in str(failure.user_failure_data)


def test_the_checks_pass_on_a_healthy_database_and_show_the_rows_that_break_them(
    definitions: dg.Definitions, database_url: str
) -> None:
    with Marketplace(orders=60, days=10) as marketplace, connect() as connection:
        sync(sandbox_account(marketplace))
        an_order(marketplace, 1, state=77, price="1.00", skus=("A", "B"))
        marketplace.change(1, price="5.00")
        sync(sandbox_account(marketplace))
        results = check_results(definitions)
        failed = {name for name, passed in results.items() if not passed}
        assert failed <= {"contract_is_known", "states_are_known", "totals_add_up", "no_late_orders"}
        assert {"contract_is_known", "states_are_known", "totals_add_up"} <= failed
        assert len(results) == 18
        connection.execute("DELETE FROM order_events WHERE order_id = '1'")
        connection.execute("DELETE FROM orders WHERE order_id = '1'")
        assert not check_results(definitions)["every_item_has_its_order"]


def test_a_partial_pass_is_green_with_a_warning(database_url: str) -> None:
    with Marketplace() as marketplace:
        for number in (900, 901):
            marketplace.put_folder(number, number)
        marketplace.fault("status", path="/ws/sav/901", status=404, times=0)
        result = _materialize(marketplace, "care_records")
        (evaluation,) = result.get_asset_check_evaluations()
        assert (evaluation.check_name, evaluation.passed) == ("nothing_put_off", False)
        assert evaluation.severity == dg.AssetCheckSeverity.WARN
        made = result.asset_materializations_for_node("shop__care_records")[0]  # that of its passes comes first
        assert made.metadata["put_off"].value == 1
        assert "care record 901 put off" in str(made.metadata["problems"].value)
        marketplace.calm()
        (evaluation,) = _materialize(marketplace, "care_records").get_asset_check_evaluations()
        assert evaluation.passed


def test_a_sync_rereads_in_the_ui(database_url: str) -> None:
    with Marketplace() as marketplace, connect() as connection:
        an_order(marketplace, 1)
        _materialize(marketplace, "new_orders")
        connection.execute("UPDATE order_items SET sku = 'CABLE'")
        _materialize(marketplace, "modified_orders")
        assert connection.execute("SELECT sku FROM order_items").fetchone() == ("CABLE",)
        _materialize(marketplace, "modified_orders", reread=True)
        assert connection.execute("SELECT sku FROM order_items").fetchone() == ("PHONE",)


def _materialize(marketplace: Marketplace, name: str, **config: bool) -> dg.ExecuteInProcessResult:
    """Materializes an asset of an account at this marketplace, as the UI does."""
    context = cast(dg.ComponentLoadContext, SimpleNamespace(path=Path("defs/accounts/shop")))  # all that is read
    attributes = {
        "marketplace": "back_market", "base_url": marketplace.url, "token": "BACK_MARKET_SANDBOX_TOKEN",
        "limits": {"enforced": False},
    }  # fmt: skip
    assets = [a for a in Account(attributes).build_defs(context).assets or [] if isinstance(a, dg.AssetsDefinition)]
    (asset,) = (asset for asset in assets if asset.key.path[-1] == name)
    result = dg.materialize(
        [asset],
        partition_key="2026-01-01",
        resources={"orders_database": OrdersDatabase()},
        run_config={"ops": {f"shop__{name}": {"config": config}}},
    )
    assert result.success
    return result


def check_results(definitions: dg.Definitions) -> dict[str, bool]:
    """The results of all checks of the synced tables and of stock: those of each hour, and those of the night."""
    results: dict[str, bool] = {}
    for job in ("check_orders", "check_whole_tables"):
        result = definitions.resolve_job_def(job).execute_in_process(raise_on_error=False)
        assert result.success
        results |= {each.check_name: each.passed for each in result.get_asset_check_evaluations()}
        links = {each.check_name: each.metadata.get("all of them") for each in result.get_asset_check_evaluations()}
        for check, page in {"no_rejected_records": REJECTED_PAGE, "no_late_orders": STOCK_PAGE}.items():
            assert check not in links or links[check] == dg.MetadataValue.url(page)
    return results


def test_the_tables_show_their_sizes_each_hour(definitions: dg.Definitions, database_url: str) -> None:
    """As observations: a materialization would make the results of their checks look outdated."""
    with Marketplace(orders=60, days=10) as marketplace, connect() as connection:
        sync(sandbox_account(marketplace))
        (stored,) = connection.execute("SELECT count(*) FROM orders").fetchone() or (0,)
    result = definitions.resolve_job_def("check_orders").execute_in_process()
    observed = [each.asset_observation_data.asset_observation for each in result.get_asset_observation_events()]
    sizes = {each.asset_key.to_user_string(): each.metadata["dagster/row_count"].value for each in observed}
    assert sizes.keys() == {"orders", "order_items", "care_records", "order_events"}
    assert sizes["orders"] == stored > 0
    assert not [each for each in result.all_events if each.event_type_value == "ASSET_MATERIALIZATION"]


def test_a_lock_is_explained_in_the_ui(definitions: dg.Definitions, database_url: str) -> None:
    with Marketplace() as marketplace, connect() as connection:
        an_order(marketplace, 1, skus=("PHONE",))
        sync(sandbox_account(marketplace))
        apply_pending(StockConnection(connection))
        marketplace.set_states(1, 9, 4)
        sync(sandbox_account(marketplace), "modified")
        apply_pending(StockConnection(connection))
    job = definitions.resolve_job_def("explain_lock")

    def explained(question: str) -> dg.ExecuteInProcessResult:
        config = {"ops": {"explain_lock_transitions": {"config": {"item_or_sku": question}}}}
        return job.execute_in_process(run_config=config, raise_on_error=False)

    observation = explained("PHONE").get_asset_observation_events()[0].asset_observation_data.asset_observation
    shown = observation.metadata["transitions"]
    assert isinstance(shown, dg.TableMetadataValue)
    transitions = [record.data for record in shown.records]
    assert [(each["from_state"], each["to_state"]) for each in transitions] == [(None, "short"), ("short", "released")]
    assert str(transitions[1]["cause"]).startswith("OrderStatusChanged cancelled")
    assert "movements" not in observation.metadata, "there are none"
    assert not explained("NOBODY").success


def test_a_return_of_a_sku_outside_the_stock_list_is_not_said_to_be_on_hand(
    definitions: dg.Definitions, database_url: str
) -> None:
    with Marketplace() as marketplace, connect() as connection:
        an_order(marketplace, 1, state=9, line_state=3, skus=("PHONE",))
        sync(sandbox_account(marketplace))
        apply_pending(StockConnection(connection))
    config = {"account": "shop", "item_id": "100", "pieces": 1, "reason": "a test"}
    run = definitions.resolve_job_def("return_stock").execute_in_process(
        run_config={"ops": {"return_item_to_stock": {"config": config}}}
    )
    act = run.get_asset_observation_events()[0].asset_observation_data.asset_observation.metadata["act"].value
    why = "SKU PHONE is not in the stock list"
    assert act == f"1 pieces of item 100 came back and are on record, not on hand: {why}"


def test_stock_is_corrected_in_the_ui(definitions: dg.Definitions, database_url: str) -> None:
    with Marketplace() as marketplace, connect() as connection:
        an_order(marketplace, 1, skus=("PHONE",))
        sync(sandbox_account(marketplace))
        apply_pending(StockConnection(connection))

        def run(job: str, op: str, **config: object) -> dg.ExecuteInProcessResult:
            run_config = {"ops": {op: {"config": config}}}
            return definitions.resolve_job_def(job).execute_in_process(run_config=run_config, raise_on_error=False)

        def lock() -> tuple[object, ...] | None:
            return connection.execute("SELECT state, locked, consumed FROM stock_locks").fetchone()

        def answer(job: str, op: str, **config: object) -> str:
            """Why the run failed: one line that a person reads."""
            failure = run(job, op, **config).get_step_failure_events()[0].step_failure_data
            assert failure.user_failure_data is not None
            return failure.user_failure_data.description or ""

        level = {"sku": "PHONE", "pieces": 1, "reason": "a test"}
        no_item = {"account": "shop", "item_id": "1\x00", "reason": "a test"}
        for job, op, config, why in (
            ("adjust_stock", "adjust_stock_level", {**level, "sku": " "}, "sku is empty"),
            (
                "adjust_stock",
                "adjust_stock_level",
                {**level, "pieces": 99999999999},
                "the number of pieces is 99999999",
            ),
            ("adjust_stock", "adjust_stock_level", {**level, "reason": " "}, "the reason is empty: say why"),
            ("decide_lock", "decide_item_lock", {**no_item, "decision": "LOCK"}, "the item's id '1\\x00' has a char"),
            ("return_stock", "return_item_to_stock", {**no_item, "pieces": 1}, "the item's id '1\\x00' has a char"),
            (
                "return_stock",
                "return_item_to_stock",
                {**no_item, "item_id": "1", "pieces": 0},
                "the number of pieces is 0",
            ),
            (
                "explain_lock",
                "explain_lock_transitions",
                {"item_or_sku": "\x00"},
                "There is no SKU, order or item named '\\x00'",
            ),
        ):
            assert answer(job, op, **config).startswith(why)

        assert run("adjust_stock", "adjust_stock_level", sku="PHONE", pieces=2, reason="found two").success
        assert lock() == ("locked", 1, 0)
        item = {"account": "shop", "item_id": "100", "reason": "a test"}
        assert run("decide_lock", "decide_item_lock", decision="RELEASE", **item).success
        assert lock() == ("released", 0, 0)
        assert run("decide_lock", "decide_item_lock", decision="LOCK", **item).success
        assert lock() == ("locked", 1, 0)
        assert run("repair_locks", "repair_wrong_locks", repair=True).success
        refused = run("return_stock", "return_item_to_stock", pieces=1, **item)
        assert not refused.success
        failure = refused.get_step_failure_events()[0].step_failure_data
        assert "No piece of the item 100 has left the stock" in str(failure.user_failure_data)
        marketplace.pass_time(minutes=1)
        marketplace.set_states(1, 9, 3)
        sync(sandbox_account(marketplace), "modified")
        apply_pending(StockConnection(connection))
        assert lock() == ("consumed", 0, 1)
        marketplace.put_folder(900, 100)
        sync(sandbox_account(marketplace), "care")
        booked = {"account": "shop", "care_id": "900", "reason": "a test"}  # the folder does not say how many
        assert not run("return_stock", "return_item_to_stock", **booked).success
        assert run("return_stock", "return_item_to_stock", pieces=1, **item, care_id="900").success
        assert answer("decide_lock", "decide_item_lock", decision="LOCK", pieces=1, **item).startswith(
            "A decision to lock is about all pieces"
        )
        undo = {"decision": "UNDO_SHIPMENT", **item}
        assert "2 can't be undone" in answer("decide_lock", "decide_item_lock", pieces=2, **undo)
        assert run("decide_lock", "decide_item_lock", pieces=1, **undo).success
