"""The four sync types, and the lane: what must never overlap itself."""

from enum import StrEnum
from typing import NamedTuple


class SyncType(StrEnum):
    """The four syncs, in the order in which `all` runs them."""

    NEW = "new"
    MODIFIED = "modified"
    CARE = "care"
    INCOMPLETE = "incomplete"


class Lane(NamedTuple):
    """(account, sync type): what must never overlap itself."""

    account: str
    sync_type: SyncType

    def __str__(self) -> str:
        return f"{self.account}/{self.sync_type}"
