"""The component behind defs/alerts/defs.yaml, and the sensor that sends the alerts."""

from typing import Any

import dagster as dg
from pydantic import BaseModel

from orders_sync.alerts.evaluation import evaluate
from orders_sync.components.free_attributes import attributes_of
from orders_sync.components.stand_ins import stand_ins
from orders_sync.config.alerts import AlertConfigError, AlertSettings, alerts_file, check_alerts, read_alerts
from orders_sync.dagster_support.orders_database import OrdersDatabase


class Alerts(dg.Component):
    """Whom to alert, and of what."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return attributes_of(AlertSettings)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "Alerts":
        return cls(dict(attributes.model_extra or {}) if attributes is not None else {})

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        check_alerts(self.attributes, str(context.path / "defs.yaml"))
        return dg.Definitions(sensors=[alerts])


def present_alerts() -> dg.Definitions:
    """The sensor that sends the alerts; an asset stands in for their file while it can't be used."""
    try:
        read_alerts()
    except AlertConfigError as problem:
        dg.get_dagster_logger().error(str(problem))
        stand_in = stand_ins({alerts_file(): str(problem)})
        return dg.Definitions(sensors=[alerts], assets=stand_in)
    return dg.Definitions(sensors=[alerts])


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Examines the project as `orders-sync doctor` does, and reports each trouble once to the channels of "
        "defs/alerts/defs.yaml, and when it is resolved. `orders-sync watch` does the same while Dagster does not "
        "work."
    ),
)
def alerts(context: dg.SensorEvaluationContext, orders_database: OrdersDatabase) -> dg.SkipReason:
    """Reads the file at each tick, so that a change needs no reload."""
    settings = read_alerts()
    if not settings.channels and settings.heartbeat is None:
        return dg.SkipReason(f"Nobody is alerted: no channel is named in {alerts_file()}.")
    with orders_database.connect("alerts") as connection:
        outcome = evaluate(connection, settings, str(alerts_file()))
    if outcome is None:
        return dg.SkipReason("Another evaluation was a moment ago.")
    for problem in outcome.problems:
        context.log.error(f"Alert not sent: {problem}")
    return dg.SkipReason("\n".join([*outcome.sent, *outcome.problems]) or "There is nothing new to report.")
