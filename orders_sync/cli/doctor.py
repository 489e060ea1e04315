"""`orders-sync doctor`: checks everything that usually goes wrong, and says what to do about each finding."""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

import click
from rich.text import Text

from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, beside, console
from orders_sync.cli.rows import json_option, print_json
from orders_sync.health.causes import Examined, Trouble, troubles
from orders_sync.health.examinations import EXAMINATIONS, findings
from orders_sync.health.finding import Finding

MAX_NAMED = 8
"""So many lanes or accounts of one finding are named. If an examination has more findings, those that are well are only
counted."""


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check what usually goes wrong, and say what to do.

    Examines the database, the accounts and their credentials, the Dagster daemon, what its code
    server has loaded, schedules, lanes, rate limits,
    rejected records, order events, acceptances, damaged orders and flaws.

    What is wrong comes first, the most likely cause at the top, each with what follows from it; then what is well. The
    last line says where to start. Exit code 1 if something needs a person, also for warnings, which can wait.
    """
    found: list[Examined] = []
    with beside.status("") as progress:
        for name, examine in EXAMINATIONS.items():
            progress.update(Text(name))
            found.extend(Examined(name, finding) for finding in findings(examine))
    wrong = troubles(found)
    if as_json:
        print_json(list(_as_json(found, wrong)))
    else:
        for trouble in wrong:
            _print_trouble(trouble)
        for name, group in groupby(found, key=lambda each: each.examination):
            for text in _well([each.finding for each in group]):
                console.print("[green]ok  [/green]", end="")
                console.print(f" {name}: {text}", markup=False)
        console.print(_summary(wrong), markup=False)
    sys.exit(EXIT_FAILED if wrong else EXIT_DONE)


def _print_trouble(trouble: Trouble) -> None:
    console.print("[yellow]warn[/yellow]" if trouble.is_warning else "[red]FAIL[/red]", end="")
    console.print(f" {_text(trouble)}", markup=False)
    if trouble.finding.remedy:
        console.print(f"     → {trouble.finding.remedy}", markup=False)
    for each in trouble.follows:
        console.print(f"     so also {_text(each)}", markup=False)


def _text(trouble: Trouble) -> str:
    return f"{trouble.examination}: {_line(trouble.like)}"


def _well(found: Sequence[Finding]) -> Iterator[str]:
    """The lines of what an examination found well: findings that differ only in the lane or account are one."""
    are_many = len(found) > MAX_NAMED
    groups: dict[str, list[Finding]] = {}
    for finding in found:
        if finding.ok:
            is_one_of_many = are_many and finding.about and not finding.is_notable
            groups.setdefault("" if is_one_of_many else finding.what, []).append(finding)
    return map(_line, groups.values())


def _line(same: Sequence[Finding]) -> str:
    finding = same[0]
    if len(same) == 1 or not finding.about:
        return finding.text
    if len({each.what for each in same}) > 1:
        return f"{len(same)} are well"
    names = ", ".join(each.about for each in same[:MAX_NAMED])
    more = f" and {len(same) - MAX_NAMED} more" if len(same) > MAX_NAMED else ""
    return f"{names}{more}: {finding.what}"


def _summary(wrong: Sequence[Trouble]) -> str:
    if not wrong:
        return "All is well."
    warnings = sum(each.is_warning for each in wrong)
    counts = ((len(wrong) - warnings, "problem"), (warnings, "warning"))
    counted = ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for count, what in counts if count)
    return f"{counted}; start with {_text(wrong[0])}"


def _as_json(found: Sequence[Examined], wrong: Sequence[Trouble]) -> Iterator[dict[str, object]]:
    causes = {id(finding): each.finding.text for each in wrong for inner in each.follows for finding in inner.like}
    for name, finding in found:
        values = {key: getattr(finding, key) for key in ("ok", "what", "remedy", "about", "is_notable")}
        level = None if finding.ok else finding.level.value
        yield {"examination": name, **values, "level": level, "follows_from": causes.get(id(finding))}
