"""What has become wrong, or right again: news for the terminal of `up` and the log of `watch`."""

from collections.abc import Mapping
from typing import NamedTuple


class News(NamedTuple):
    """What has become wrong, or right again."""

    is_wrong: bool
    text: str


def news_of(before: Mapping[str, str], now: Mapping[str, str]) -> list[News]:
    """What is wrong now and was not before, and what is right again. Both: what is wrong, and how."""
    wrong = [News(True, f"{what} {how}") for what, how in now.items() if before.get(what) != how]
    return wrong + [News(False, f"{what} is well again") for what in before if what not in now]


class SettingsNews:
    """Which files of settings can't be used, as they change while the project runs."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    def look(self) -> list[News]:
        """What has become wrong or right again since the last look."""
        from orders_sync.config.schedules import schedules_problem
        from orders_sync.marketplaces.kit.accounts import load_accounts

        _, problems = load_accounts()
        now = {f"account {name}": f"can't be used: {problem}" for name, problem in problems.items()}
        if (problem := schedules_problem()) is not None:
            now["the file of the schedules"] = f"can't be used: {problem}"
        before, self._problems = self._problems, now
        return news_of(before, now)
