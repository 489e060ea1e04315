"""When the syncs of all accounts and those of one account tick: the cron expressions of each sync type."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from orders_sync.config import crons
from orders_sync.config.field_types import CronExpressions
from orders_sync.model.lane import SyncType


class Crons(BaseModel):
    """The cron expressions of each sync type."""

    model_config = ConfigDict(extra="forbid")

    new: CronExpressions = Field(default=(crons.SYNC_NEW,), description="New orders.")
    modified: CronExpressions = Field(
        default=(crons.SYNC_MODIFIED,), description="Orders modified in the last three months."
    )
    care: CronExpressions = Field(default=(crons.SYNC_CARE,), description="Care records.")
    incomplete: CronExpressions = Field(
        default=(crons.SYNC_INCOMPLETE,), description="Missing delivery notes and labels."
    )

    def of(self, sync_type: SyncType) -> tuple[str, ...]:
        """The cron expressions of one sync type."""
        found: tuple[str, ...] = getattr(self, sync_type.value)
        return found


class OwnCrons(BaseModel):
    """The cron expressions of one account, where they differ from those of all accounts."""

    model_config = ConfigDict(extra="forbid")

    new: CronExpressions | None = Field(default=None, description="New orders.")
    modified: CronExpressions | None = Field(default=None, description="Orders modified in the last three months.")
    care: CronExpressions | None = Field(default=None, description="Care records.")
    incomplete: CronExpressions | None = Field(default=None, description="Missing delivery notes and labels.")
    frequent_new: CronExpressions | Literal[False] | None = Field(
        default=None, description="Further, cheap passes of `new`; `off`: none, even if other accounts have some."
    )

    def of(self, sync_type: SyncType, *, frequent: bool = False) -> tuple[str, ...] | None:
        """The cron expressions of one sync type, or of its further passes; None: those of all accounts; empty: none."""
        if frequent:
            return () if self.frequent_new is False else self.frequent_new
        found: tuple[str, ...] | None = getattr(self, sync_type.value)
        return found
