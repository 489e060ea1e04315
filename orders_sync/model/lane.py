"""The four sync types, and the lane: one sync type of one account."""

from enum import StrEnum
from typing import NamedTuple


class SyncType(StrEnum):
    """The four syncs, in the order in which `all` runs them."""

    NEW = "new"
    MODIFIED = "modified"
    CARE = "care"
    INCOMPLETE = "incomplete"


class Lane(NamedTuple):
    """One sync type of one account. Two runs never work on the same lane at the same time."""

    account: str
    sync_type: SyncType

    def __str__(self) -> str:
        return f"{self.account}/{self.sync_type}"
