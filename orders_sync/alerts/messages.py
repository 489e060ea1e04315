"""The texts of alerts. They have no buyer's data: what is found names lanes, counts and causes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from orders_sync.alerts.troubles import Trouble
from orders_sync.model.control_characters import safe_text
from orders_sync.model.time_words import span

MAX_NAMED = 20
"""So many troubles are written out in one message."""


class Message(NamedTuple):
    """A message to people, as plain text."""

    title: str
    body: str


def alert_message(new: Sequence[Trouble], over: Sequence[Trouble], ui_url: str | None) -> Message:
    """One message about all that is new, and all that is over."""
    parts = [_new(each, ui_url) for each in new[:MAX_NAMED]] + [_over(each) for each in over[:MAX_NAMED]]
    if (more := max(0, len(new) - MAX_NAMED) + max(0, len(over) - MAX_NAMED)) > 0:
        parts.append(f"And {more} more: `orders-sync doctor` and `orders-sync alerts list` show all.")
    return Message(safe_text(_title(new, over), in_one_line=True), safe_text("\n\n".join(parts)))


def _title(new: Sequence[Trouble], over: Sequence[Trouble]) -> str:
    if not new:
        return "orders_sync: " + (f"well again: {over[0].text}" if len(over) == 1 else f"{len(over)} are well again")
    if len(new) == 1:
        return f"orders_sync: {new[0].level}: {new[0].text}"[:200]
    counts = {level: sum(each.level == level for each in new) for level in ("error", "warning")}
    words = " and ".join(f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items() if count)
    return f"orders_sync: {words}, first {new[0].text}"[:200]


def _new(trouble: Trouble, ui_url: str | None) -> str:
    lines = [f"{trouble.level.upper()} {trouble.text}", f"Since {_moment(trouble.began_at)}."]
    if trouble.remedy:
        lines.append(f"What to do: {trouble.remedy}")
    if ui_url is not None:
        lines.append(f"{ui_url.rstrip('/')}{trouble.page or '/operations'}")
    return "\n".join(lines)


def _over(trouble: Trouble) -> str:
    ended = trouble.ended_at or datetime.now(UTC)
    lasted = span((ended - trouble.began_at).total_seconds())
    return f"WELL AGAIN {trouble.text}\nFrom {_moment(trouble.began_at)} until {_moment(ended)}, {lasted}."


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
