"""Subscriptions in Dagster: an asset each, a job for each Python function, and sensors that deliver."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from orders_sync.components.subscription import present_subscriptions
from orders_sync.config import subscriptions as config
from orders_sync.config.subscriptions import COMPONENT_TYPE
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.subscription_assets import subscription_key
from orders_sync.database.engine import Connection
from orders_sync.subscriptions.deliveries import positions
from orders_sync.subscriptions.webhooks.signatures import make_secret
from orders_sync_tests.subscriptions.conftest import an_event, event_ids
from orders_sync_tests.subscriptions.webhooks.receivers import a_receiver

CONSUMER = """
from pathlib import Path
from orders_sync.subscriptions.consumer import order_event_consumer

@order_event_consumer
def deliver(event):
    if event.order_id == "bad":
        raise ValueError("no such customer")
    with open(Path(__file__).with_suffix(".txt"), "a") as file:
        print(event.id, file=file)
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: Connection) -> Write:
    """Writes a subscription's file into the project's folder; returns its folder."""
    monkeypatch.setattr(config, "subscriptions_folder", lambda: tmp_path)
    monkeypatch.setattr("orders_sync.components.subscription.subscriptions_folder", lambda: tmp_path)

    def written(name: str, **attributes: Any) -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        document = {"type": COMPONENT_TYPE, "attributes": attributes}
        (tmp_path / name / "defs.yaml").write_text(yaml.safe_dump(document))
        return tmp_path / name

    return written


def loaded() -> dg.Definitions:
    found = present_subscriptions().definitions
    return dg.Definitions.merge(found, dg.Definitions(resources={"orders_database": OrdersDatabase()}))


def tick(definitions: dg.Definitions, name: str, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    """What a tick of a sensor returns."""
    with dg.build_sensor_context(
        instance, cursor, definitions=definitions, resources={"orders_database": OrdersDatabase()}
    ) as context:
        return definitions.resolve_sensor_def(name)(context), context


def test_without_a_subscription_there_is_nothing(write: Write) -> None:
    definitions = present_subscriptions().definitions
    assert not definitions.sensors
    assert not definitions.assets


def test_events_wake_a_run_that_calls_the_function(write: Write, connection: Connection) -> None:
    folder = write("erp", dagster={"function": "consumer:deliver"})
    (folder / "consumer.py").write_text(CONSUMER)
    definitions, instance = loaded(), dg.DagsterInstance.ephemeral()
    assert definitions.resolve_asset_graph().get(subscription_key("erp")).parent_keys == {dg.AssetKey("order_events")}
    result, _ = tick(definitions, "subscriptions", instance)
    assert result.skip_message == "New: erp. Shown: erp."
    assert tick(definitions, "erp_subscription", instance)[0].skip_message == "No event is due."
    an_event(connection, "1")
    an_event(connection, "bad")
    assert isinstance(tick(definitions, "erp_subscription", instance)[0], dg.RunRequest)
    job = definitions.resolve_job_def("consume_erp")
    with dg.DagsterInstance.ephemeral() as busy:
        busy.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        assert "is about to take them" in str(tick(definitions, "erp_subscription", busy)[0].skip_message)
    done = job.execute_in_process(instance=instance)
    (made,) = done.asset_materializations_for_node("subscriptions__erp")
    figures = {name: value.value for name, value in made.metadata.items()}
    assert (figures["delivered_by_run"], figures["failed_in_run"], figures["waiting"], figures["failing"]) == (
        1,
        1,
        1,
        1,
    )
    assert (folder / "consumer.txt").read_text() == f"{event_ids(connection)[0]}\n"
    assert tick(definitions, "erp_subscription", instance)[0].skip_message == "No event is due."


def test_a_run_that_delivers_nothing_fails_in_one_line(write: Write, connection: Connection) -> None:
    (write("erp", dagster={"function": "consumer:deliver"}) / "consumer.py").write_text(CONSUMER)
    definitions, instance = loaded(), dg.DagsterInstance.ephemeral()
    tick(definitions, "subscriptions", instance)
    an_event(connection, "bad")
    done = definitions.resolve_job_def("consume_erp").execute_in_process(instance=instance, raise_on_error=False)
    (failure,) = (event for event in done.all_node_events if event.is_step_failure)
    assert "No event could be delivered: ValueError: no such customer" in str(failure.step_failure_data.error)


def test_webhooks_are_sent_by_one_sensor_and_figures_are_shown_when_they_change(
    write: Write, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_receiver() as receiver:
        monkeypatch.setenv("ERP_URL", receiver.url)
        monkeypatch.setenv("ERP_SECRET", make_secret())
        write("erp", webhook={"url": "ERP_URL", "secret": "ERP_SECRET", "allow_private": True})
        write("bi", webhook={"url": "UNSET_URL", "secret": "ERP_SECRET"})
        definitions, instance = loaded(), dg.DagsterInstance.ephemeral()
        _, context = tick(definitions, "subscriptions", instance)
        an_event(connection)
        result, _ = tick(definitions, "webhooks", instance)
        assert result.skip_message == "bi: 0 delivered, 0 failed\nerp: 1 delivered, 0 failed"
        assert len(receiver.calls) == 1
    result, context = tick(definitions, "subscriptions", instance, context.cursor)
    assert result.skip_message == "Shown: bi, erp."
    assert tick(definitions, "subscriptions", instance, context.cursor)[0].skip_message == "Nothing has changed."
    figures = latest_figures(instance, "erp")
    assert (figures["delivered_last_day"], figures["waiting"]) == (1, 0)
    assert "UNSET_URL is not set" in str(latest_figures(instance, "bi")["problem"])


def latest_figures(instance: dg.DagsterInstance, name: str) -> dict[str, Any]:
    (newest, _) = instance.fetch_observations(subscription_key(name), limit=2).records
    assert newest.asset_observation is not None
    return {key: value.value for key, value in newest.asset_observation.metadata.items()}


def test_the_mistakes_of_some_stop_no_other(write: Write, tmp_path: Path, connection: Connection) -> None:
    write("good", sql={"role": "erp"})
    write("no_consumer")
    write("two_consumers", sql={"role": "erp"}, dagster={"function": "a:b"})
    write("typo", sql={"rol": "erp"})
    write("unknown_kind", sql={"role": "erp"}, kinds=["OrderCreatd"])
    write("no_module", dagster={"function": "nowhere:deliver"})
    write("My-Shop", sql={"role": "erp"})
    write("stock", sql={"role": "erp"})
    (tmp_path / "file.yaml").write_text("")
    (tmp_path / "empty").mkdir()
    found = present_subscriptions()
    said = {path.name: reason for path, reason in found.left_out.items()}
    for name, text in {
        "no_consumer": "exactly one of dagster, webhook and sql says who consumes the events; found is none of them",
        "two_consumers": "found is dagster and sql", "typo": "sql.rol: no such setting (did you mean role?)",
        "unknown_kind": "there is no kind 'OrderCreatd' (did you mean OrderCreated?)",
        "no_module": "dagster.function: nowhere:deliver: can't be imported", "My-Shop": "Rename it.",
        "stock": "and not stock, which is there always", "file.yaml": "a subscription is a folder with a defs.yaml",
        "empty": "can't be read: No such file or directory",
    }.items():  # fmt: skip
        assert text in said.pop(name)
    assert said == {}
    names = {key.to_user_string() for asset in found.definitions.assets or () for key in _keys(asset)}
    assert "subscriptions/good" in names
    assert sum(name.startswith("unusable_settings/") for name in names) == 9
    result, _ = tick(loaded(), "subscriptions", dg.DagsterInstance.ephemeral())
    assert result.skip_message == "New: good, no_module. Shown: good, no_module."
    assert [each.subscription for each in positions(connection)] == ["good", "no_module"]


def _keys(asset: Any) -> list[dg.AssetKey]:
    return [asset.key] if isinstance(asset, dg.AssetSpec) else list(asset.keys)
