"""What a sandbox saves between two starts: the settings of its worlds, and the merchant's actions in each.

The folder holds `world.json`, and for each marketplace a folder with `merchant_actions.jsonl`. Files that versions
before 0.2 saved are still read: their key `arrivals_a_day`, and `deeds.jsonl`, which is renamed.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orders_sync.model.errors import UserFacingError

SETTINGS_FILE = "world.json"
ACTIONS_FILE = "merchant_actions.jsonl"
OLD_ACTIONS_FILE = "deeds.jsonl"
"""The name of ACTIONS_FILE before 0.2."""
OLD_KEYS = {"arrivals_a_day": "arrivals_per_day"}
"""Keys of SETTINGS_FILE that were renamed in 0.2, by their old names."""


class SavedStateError(UserFacingError):
    """The saved state of a sandbox can't be used; the text says which file, why, and how to start a new world."""


@dataclass(frozen=True)
class WorldSettings:
    """What the worlds of a sandbox are made from: equal settings give equal worlds."""

    seed: int | str
    orders: int
    """Back Market's orders before `start`; the other marketplaces have a share of them."""
    days: int
    """The days before `start` over which these orders arrive."""
    arrivals_per_day: float
    """Back Market's new orders per day from `start` on."""
    start: str
    """When the sandbox was started for the first time: ISO 8601 with a time zone."""

    @property
    def started_at(self) -> datetime:
        """`start` as a time (aware)."""
        return datetime.fromisoformat(self.start)


def restored(folder: Path, chosen: WorldSettings) -> WorldSettings:
    """The settings that `folder` has saved. An empty folder saves `chosen`, and these are the settings.

    Raises SavedStateError for a file that is not such settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / SETTINGS_FILE
    if not file.exists():
        file.write_text(json.dumps(asdict(chosen)))
        return chosen
    try:
        document: dict[str, Any] = json.loads(file.read_text())
        settings = WorldSettings(**{OLD_KEYS.get(key, key): value for key, value in document.items()})
        if settings.started_at.tzinfo is None:
            raise ValueError(f"start {settings.start!r} has no time zone")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise unusable(file, error) from None
    return settings


def actions_file(folder: Path, marketplace: str) -> Path:
    """Where `folder` saves the merchant's actions at a marketplace. Makes its folder, and renames a file of old."""
    own = folder / marketplace
    own.mkdir(parents=True, exist_ok=True)
    if (own / OLD_ACTIONS_FILE).exists() and not (own / ACTIONS_FILE).exists():
        (own / OLD_ACTIONS_FILE).rename(own / ACTIONS_FILE)
    return own / ACTIONS_FILE


def unusable(file: Path, reason: Exception) -> SavedStateError:
    """The error for a saved file that can't be used."""
    return SavedStateError(
        f"{file}: the sandbox's saved state can't be used: {reason}. Delete the folder "
        f"{file.parent if file.name == SETTINGS_FILE else file.parent.parent} to start with a new world, or start one "
        "that is not saved with `orders-sync sandbox --forget`."
    )
