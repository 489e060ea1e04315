"""The sensors of subscriptions: one starts a job for each Python function, one sends webhooks, one shows figures."""

from collections.abc import Sequence

import dagster as dg

from orders_sync.config.subscriptions import Webhook, load_subscriptions
from orders_sync.dagster_support.busy_lanes import runs_under_way
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.subscription_assets import observations
from orders_sync.database.engine import connect
from orders_sync.subscriptions.deliveries import is_due, positions
from orders_sync.subscriptions.registration import register
from orders_sync.subscriptions.webhooks.delivery import deliver_all

ROUND_SECONDS = 20.0
"""How long a tick delivers to receivers. Dagster gives it up after 60 seconds, and an answer may take 30."""


def consumer_sensor(name: str, job_name: str) -> dg.SensorDefinition:
    """The sensor that starts the job of a subscription with a Python function."""

    @dg.sensor(
        name=f"{name}_subscription",
        job_name=job_name,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts the job that consumes the subscription `{name}` when an order event is due.",
    )
    def subscription_sensor(
        context: dg.SensorEvaluationContext, orders_database: OrdersDatabase
    ) -> dg.RunRequest | dg.SkipReason:
        with orders_database.connect(f"subscription {name}") as connection:
            if not is_due(connection, name):
                return dg.SkipReason("No event is due.")
        for run in runs_under_way(context.instance):
            if run.job_name == job_name:
                return dg.SkipReason(f"Events are due; run {run.run_id[:8]} is about to take them.")
        return dg.RunRequest()

    return subscription_sensor


def webhooks_sensor(names: Sequence[str]) -> dg.SensorDefinition:
    """The sensor that sends events to the receivers of these subscriptions."""

    @dg.sensor(
        minimum_interval_seconds=3,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Sends order events that are due to the receivers of all webhooks at once: one that is slow or down delays "
            "no other."
        ),
    )
    def webhooks(context: dg.SensorEvaluationContext, orders_database: OrdersDatabase) -> dg.SkipReason:
        """Reads the files at each tick, so that a changed setting needs no reload."""
        present = {name: settings.webhook for name, settings in load_subscriptions()[0].items()}
        with orders_database.connect("webhooks") as connection:
            due: dict[str, Webhook] = {
                name: webhook
                for name in names
                if (webhook := present.get(name)) is not None and is_due(connection, name)
            }
        if not due:
            return dg.SkipReason("No event is due.")
        lines: list[str] = []
        for each in deliver_all(lambda: connect(application="orders_sync webhook"), due, ROUND_SECONDS):
            lines.append(f"{each.subscription}: {each.delivered} delivered, {each.failed} failed")
            if each.problem:
                context.log.error(f"{each.subscription}: {each.problem}")
        return dg.SkipReason("\n".join(lines))

    return webhooks


def figures_sensor() -> dg.SensorDefinition:
    """The sensor that registers subscriptions, and shows how far they are."""

    @dg.sensor(
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Makes new subscriptions known to the orders database, so that they get events from then on; and shows how "
            "far each one is, in its asset, whenever that has changed."
        ),
    )
    def subscriptions(context: dg.SensorEvaluationContext, orders_database: OrdersDatabase) -> dg.SkipReason:
        """The cursor is what was shown last."""
        configured, _ = load_subscriptions()
        with orders_database.connect("subscriptions") as connection:
            done = register(connection, configured)
            shown, cursor = observations(positions(connection), context.cursor)
        for observation in shown:
            context.instance.report_runless_asset_event(observation)
        context.update_cursor(cursor)
        names = ", ".join(each.asset_key.path[-1] for each in shown)
        new = f"New: {', '.join(done.added)}. " if done.added else ""
        if done.put_off:
            new += f"Put off until the transactions that write events have ended: {', '.join(done.put_off)}. "
        return dg.SkipReason(f"{new}Shown: {names}." if names else f"{new}Nothing has changed.")

    return subscriptions
