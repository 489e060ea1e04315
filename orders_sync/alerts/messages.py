"""The texts of alerts. They have no buyer's data: what is found names lanes, counts and causes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from orders_sync.alerts.troubles import Trouble
from orders_sync.model.control_characters import safe_text
from orders_sync.model.time_words import span

MAX_NAMED = 20
"""So many troubles are written out in one message."""
_MAX_ABOUT = 8
"""So many lanes or accounts of one trouble are named."""
_MAX_TITLE = 200


class Message(NamedTuple):
    """A message to people, as plain text."""

    title: str
    body: str
    kind: Literal["info", "success", "warning", "failure"] = "info"
    """What the service makes of it: a pager opens an incident by a failure, and closes it by a success."""


def grouped(troubles: Sequence[Trouble]) -> list[Trouble]:
    """The troubles; those that differ only in the lane or account are one, which names these, since the first began."""
    groups: dict[tuple[str, str, str, bool], list[Trouble]] = {}
    for each in troubles:
        groups.setdefault((each.level, each.what, each.remedy, each.ended_at is None), []).append(each)
    return [_as_one(group) for group in groups.values()]


def _as_one(group: Sequence[Trouble]) -> Trouble:
    names = list(dict.fromkeys(each.about for each in group if each.about))
    more = f" and {len(names) - _MAX_ABOUT} more" if len(names) > _MAX_ABOUT else ""
    ends = [each.ended_at for each in group if each.ended_at is not None]
    return group[0]._replace(
        about=", ".join(names[:_MAX_ABOUT]) + more,
        began_at=min(each.began_at for each in group),
        ended_at=max(ends, default=None),
    )


def alert_message(new: Sequence[Trouble], gone: Sequence[Trouble], ui_url: str | None) -> Message:
    """One message about all that is new, and all that is resolved."""
    new, gone = grouped(new), grouped(gone)
    parts = [_new(each, ui_url) for each in new[:MAX_NAMED]] + [_resolved(each) for each in gone[:MAX_NAMED]]
    if (more := max(0, len(new) - MAX_NAMED) + max(0, len(gone) - MAX_NAMED)) > 0:
        parts.append(f"And {more} more: `orders-sync doctor` and `orders-sync alerts list` show all.")
    kind = "success" if not new else "failure" if any(each.level == "error" for each in new) else "warning"
    return Message(safe_text(_title(new, gone), in_one_line=True), safe_text("\n\n".join(parts)), kind)


def _title(new: Sequence[Trouble], gone: Sequence[Trouble]) -> str:
    if not new:
        words = f"resolved: {gone[0].text}" if len(gone) == 1 else f"{len(gone)} troubles are resolved"
    elif len(new) == 1:
        words = f"{new[0].level}: {new[0].text}"
    else:
        counts = {level: sum(each.level == level for each in new) for level in ("error", "warning")}
        named = [f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items() if count]
        words = f"{' and '.join(named)}, first {new[0].text}"
    return f"orders_sync: {words}"[:_MAX_TITLE]


def _new(trouble: Trouble, ui_url: str | None) -> str:
    lines = [f"{trouble.level.upper()} {trouble.text}", f"Since {_moment(trouble.began_at)}."]
    if trouble.remedy:
        lines.append(f"What to do: {trouble.remedy}")
    if ui_url is not None:
        lines.append(f"{ui_url.rstrip('/')}{trouble.page or '/operations'}")
    return "\n".join(lines)


def _resolved(trouble: Trouble) -> str:
    ended = trouble.ended_at or datetime.now(UTC)
    lasted = span((ended - trouble.began_at).total_seconds())
    return f"RESOLVED {trouble.text}\nFrom {_moment(trouble.began_at)} until {_moment(ended)}, {lasted}."


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
