"""What goes wrong, and is well again, while the project runs: for the terminal of `up` and the log of `watch`."""

from collections.abc import Mapping
from typing import NamedTuple


class StatusChange(NamedTuple):
    """What has become wrong, or right again."""

    is_wrong: bool
    text: str


def status_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[StatusChange]:
    """What is wrong now and was not before, and what is right again. Both: what is wrong, and how."""
    wrong = [StatusChange(True, f"{what} {how}") for what, how in now.items() if before.get(what) != how]
    return wrong + [StatusChange(False, f"{what} is well again") for what in before if what not in now]


class SettingsWatch:
    """Which files of settings can't be used, as they change while the project runs."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    def look(self) -> list[StatusChange]:
        """What has become wrong or right again since the last look."""
        from orders_sync.config.schedules import schedules_in_force
        from orders_sync.marketplaces.kit.accounts import load_accounts

        _, problems = load_accounts()
        _, problem = schedules_in_force()
        now = {f"account {name}": f"can't be used: {error}" for name, error in problems.items()}
        if problem is not None:
            now["the file of the schedules"] = f"can't be used: {problem}"
        before, self._problems = self._problems, now
        return status_changes(before, now)
