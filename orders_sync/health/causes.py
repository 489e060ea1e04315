"""Which of the findings are one trouble: the same at several lanes, or what follows from another finding."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orders_sync.health.finding import Finding, Level

_DAEMON = ("daemon", "no ticks")
_FOLLOWS_FROM: Mapping[str, tuple[str, ...]] = {
    "daemon": ("daemon",),  # each of its parts
    "no ticks": ("daemon",),
    "code server": _DAEMON,
    "silent": (*_DAEMON, "off ", "unusable schedules"),
    "died": _DAEMON,
    "stalled": _DAEMON,
    "waiting events": _DAEMON,
    "lines that run out": (*_DAEMON, "off ", "refused"),
}
"""How the kinds of findings begin from which a finding of a kind follows."""


def not_loaded(account: str) -> str:
    """The kind of the finding that the code server has not loaded an account yet: its lanes have no schedules."""
    return f"not loaded {account}"


class Examined(NamedTuple):
    """A finding, and the examination that found it."""

    examination: str
    finding: Finding


class Trouble(NamedTuple):
    """Something wrong: a finding with its like, and what is wrong only because of it."""

    examination: str
    like: list[Finding]
    """The same at one or several lanes or accounts, or by one or several examinations."""
    follows: list["Trouble"]

    @property
    def finding(self) -> Finding:
        """The first one."""
        return self.like[0]

    @property
    def is_warning(self) -> bool:
        """Whether it can wait until somebody comes to work."""
        return self.finding.level is Level.WARNING


def troubles(examined: Sequence[Examined]) -> list[Trouble]:
    """What is wrong, the most likely cause first: in the order of the examinations.

    A finding follows from an earlier trouble if it quotes its text, or if its kind is one that follows from that kind.
    """
    causes: list[Trouble] = []
    for examination, finding in examined:
        if finding.ok:
            continue
        cause = next((each for each in causes if _is_cause(each.finding, finding)), None)
        _add(causes if cause is None else cause.follows, examination, finding)
    return causes


def _add(to: list[Trouble], examination: str, finding: Finding) -> None:
    """Adds a finding to the trouble of its like, or as a trouble of its own."""
    for each in to:
        if (each.examination, each.finding.what, each.finding.remedy) == (examination, finding.what, finding.remedy):
            each.like.append(finding)
            return
    to.append(Trouble(examination, [finding], []))


def _is_cause(earlier: Finding, finding: Finding) -> bool:
    """Whether a finding follows from an earlier one."""
    if earlier.what in finding.what and (earlier.what, earlier.remedy) != (finding.what, finding.remedy):
        return True
    if finding.kind == "silent" and earlier.kind == not_loaded(finding.about.partition("/")[0]):
        return True
    if earlier.kind == finding.kind == "examination":  # each examination needs the database, for example
        return earlier.what == finding.what
    return any(earlier.kind.startswith(kind) for kind in _FOLLOWS_FROM.get(finding.kind, ()))
