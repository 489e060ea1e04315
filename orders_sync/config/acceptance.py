"""What an account does about orderlines that wait for the merchant, and whose stock can't be locked."""

from datetime import timedelta
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from orders_sync.config.field_types import Duration, duration


class RefuseAfter(BaseModel):
    """Lines whose stock can't be locked wait at first, and are refused later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    refuse_after: Duration = Field(
        description="How long such a line waits before it is refused, from the payment of its order on."
    )


def _when_short(value: object) -> object:
    if value is None or value in ("wait", "accept") or isinstance(value, RefuseAfter):
        return value
    if isinstance(value, dict) and set(cast(dict[Any, Any], value)) == {"refuse_after"}:
        return RefuseAfter(refuse_after=duration(cast(dict[str, Any], value)["refuse_after"]))
    raise ValueError("allowed are wait, accept, or refuse_after with a duration, e.g. {refuse_after: 20h}")


WhenShort = Annotated[Literal["wait", "accept"] | RefuseAfter, BeforeValidator(_when_short)]
"""What becomes of a waiting line whose stock can't be locked."""


def when_short_in_force(setting: WhenShort | None, *, has_stock_list: bool) -> Literal["wait", "accept"] | RefuseAfter:
    """What counts for an account with this setting. `has_stock_list`: whether a stock list was ever imported.

    Not set, lines wait for stock where there is a list of it. Without a list nothing is known about stock: no line is
    refused, and those of an account that would refuse some wait.
    """
    if setting is None:
        return "wait" if has_stock_list else "accept"
    return "wait" if isinstance(setting, RefuseAfter) and not has_stock_list else setting


def in_hours(length: timedelta) -> float:
    """A duration in hours, to one decimal."""
    return round(length.total_seconds() / 3600, 1)
