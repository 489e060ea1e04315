"""The component behind defs/subscriptions/<name>/defs.yaml: who gets order events, as an asset, and what delivers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
from pydantic import BaseModel

from orders_sync.components.free_attributes import attributes_of
from orders_sync.components.stand_ins import stand_ins
from orders_sync.config.subscriptions import (
    FILE_NAME,
    DagsterConsumer,
    SubscriptionConfigError,
    SubscriptionSettings,
    check_subscription,
    load_subscriptions,
    subscriptions_folder,
)
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.subscription_assets import (
    GROUP,
    OWNERS,
    figures_of,
    subscription_key,
    subscription_spec,
)
from orders_sync.dagster_support.subscription_sensors import consumer_sensor, figures_sensor, webhooks_sensor
from orders_sync.subscriptions.consumer import OrderEventConsumer, consume, find_consumer
from orders_sync.subscriptions.deliveries import positions

RUN_SECONDS = 600.0
"""How long a run consumes before it ends, so that its log stays readable; the next one goes on."""


class Subscription(dg.Component):
    """Who gets order events."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return attributes_of(SubscriptionSettings)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "Subscription":
        return cls(dict(attributes.model_extra or {}) if attributes is not None else {})

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        settings = check_subscription(self.attributes, str(context.path / FILE_NAME))
        return _definitions({context.path.name: settings}, context.path.parent).definitions


class PresentSubscriptions(NamedTuple):
    """What there is of subscriptions."""

    definitions: dg.Definitions
    left_out: Mapping[Path, str]
    """Those that can't be used, by their folders, with the reason."""


def present_subscriptions() -> PresentSubscriptions:
    """The assets, jobs and sensors of all subscriptions. One that can't be used has a stand-in with the reason."""
    usable, problems = load_subscriptions()
    folder = subscriptions_folder()
    found = _definitions(usable, folder)
    left_out = {**found.left_out, **{folder / name: str(problem) for name, problem in problems.items()}}
    return PresentSubscriptions(
        dg.Definitions.merge(found.definitions, dg.Definitions(assets=stand_ins(left_out))), left_out
    )


def _definitions(usable: Mapping[str, SubscriptionSettings], folder: Path) -> PresentSubscriptions:
    parts: list[dg.Definitions] = []
    left_out: dict[Path, str] = {}
    for name, settings in usable.items():
        try:
            parts.append(_of_subscription(name, settings, folder / name))
        except SubscriptionConfigError as problem:
            left_out[folder / name] = str(problem)
    if usable:
        parts.append(dg.Definitions(sensors=[figures_sensor()]))
    webhooks = {name: settings.webhook for name, settings in usable.items() if settings.webhook is not None}
    if webhooks:
        parts.append(dg.Definitions(sensors=[webhooks_sensor(list(webhooks))]))
    return PresentSubscriptions(dg.Definitions.merge(*parts) if parts else dg.Definitions(), left_out)


def _of_subscription(name: str, settings: SubscriptionSettings, folder: Path) -> dg.Definitions:
    if settings.dagster is None:
        return dg.Definitions(assets=[subscription_spec(name, settings)])
    consumer = find_consumer(settings.dagster.function, folder, str(folder / FILE_NAME))
    asset = _consumer_asset(name, settings, settings.dagster, consumer)
    job = dg.define_asset_job(
        f"consume_{name}",
        selection=dg.AssetSelection.assets(subscription_key(name)),
        description=f"Gives the order events that are due to {settings.dagster.function}.",
        executor_def=dg.in_process_executor,
    )
    return dg.Definitions(assets=[asset], jobs=[job], sensors=[consumer_sensor(name, job.name)])


def _consumer_asset(
    name: str, settings: SubscriptionSettings, options: DagsterConsumer, consumer: OrderEventConsumer
) -> dg.AssetsDefinition:
    spec = subscription_spec(name, settings)

    @dg.asset(
        key=spec.key, deps=spec.deps, group_name=GROUP, owners=list(OWNERS), kinds=spec.kinds,
        description=spec.description, metadata=spec.metadata,
    )  # fmt: skip
    def consumed(context: dg.AssetExecutionContext, orders_database: OrdersDatabase) -> dg.MaterializeResult[Any]:
        with orders_database.connect(f"subscription {name}") as connection:
            outcome = consume(connection, name, consumer, options, RUN_SECONDS)
            (position,) = (each for each in positions(connection) if each.subscription == name)
        if outcome.problem:
            context.log.error(f"{outcome.failed} events failed, and come again; the last one: {outcome.problem}")
        if outcome.failed and not outcome.delivered:
            raise dg.Failure(f"No event could be delivered: {outcome.problem}", allow_retries=False)
        return dg.MaterializeResult(
            metadata={"delivered_by_run": outcome.delivered, "failed_in_run": outcome.failed, **figures_of(position)}
        )

    return consumed
