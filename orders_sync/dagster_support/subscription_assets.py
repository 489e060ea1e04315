"""What a subscription shows in Dagster: an asset downstream of order_events, with its figures over time."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from orders_sync.config.subscriptions import SubscriptionSettings
from orders_sync.subscriptions.deliveries import Position
from orders_sync.subscriptions.matching import matching_text

GROUP = "subscriptions"
OWNERS = ("team:orders",)


def subscription_key(name: str) -> dg.AssetKey:
    """The asset of a subscription."""
    return dg.AssetKey([GROUP, name])


def subscription_spec(name: str, settings: SubscriptionSettings) -> dg.AssetSpec:
    """The asset of a subscription, whoever consumes its events."""
    gets = matching_text(settings.kinds, settings.accounts, settings.statuses)
    return dg.AssetSpec(
        subscription_key(name),
        deps=[dg.AssetKey("order_events")],
        group_name=GROUP,
        owners=list(OWNERS),
        kinds={_kind(settings)},
        description=(
            f"Gets {gets}: {_consumer(settings)}. Its plots show how many events were delivered in the "
            "last 24 hours, how many wait and for how long, how many fail, and how many were given up."
        ),
    )


def figures_of(position: Position) -> dict[str, Any]:
    """How far a subscription is, as metadata, of which the UI plots the numbers."""
    since = position.waiting_since
    waited = (datetime.now(UTC) - since).total_seconds() if since is not None else 0.0
    figures: dict[str, Any] = {
        "delivered_last_day": position.delivered, "waiting": position.waiting,
        "oldest_waits_seconds": round(waited, 1), "failing": position.failing, "attempts": position.attempts,
        "given_up": position.given_up,
    }  # fmt: skip
    if position.problem is not None:
        figures["problem"] = dg.MetadataValue.text(position.problem)
    return figures


def observations(found: Sequence[Position], cursor: str | None) -> tuple[list[dg.AssetObservation], str]:
    """What to show of the subscriptions whose figures have changed since the cursor; and the next cursor."""
    before: dict[str, Any] = json.loads(cursor) if cursor else {}
    now = {
        each.subscription: [each.delivered, each.waiting, each.failing, each.attempts, each.given_up, each.problem]
        for each in found
    }
    changed = [each for each in found if before.get(each.subscription) != now[each.subscription]]
    shown = [dg.AssetObservation(subscription_key(each.subscription), metadata=figures_of(each)) for each in changed]
    return shown, json.dumps(now)


def _kind(settings: SubscriptionSettings) -> str:
    return "python" if settings.dagster is not None else "http" if settings.webhook is not None else "postgres"


def _consumer(settings: SubscriptionSettings) -> str:
    if settings.dagster is not None:
        return f"a run calls `{settings.dagster.function}`"
    if settings.webhook is not None:
        return f"they are sent to the URL in `{settings.webhook.url}`"
    return f"the role `{settings.sql.role if settings.sql else ''}` claims them by SQL"
