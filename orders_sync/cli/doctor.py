"""`orders-sync doctor`: checks everything that usually goes wrong, and says what to do about each finding."""

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

import click

from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console
from orders_sync.health.examinations import EXAMINATIONS, findings
from orders_sync.health.finding import Finding

MAX_NAMED = 8
"""So many lanes or accounts of one finding are named. If an examination has more findings, those that are well are only
counted."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts: a list with each finding.")
def doctor(as_json: bool) -> None:
    """Check what usually goes wrong, and say what to do.

    Examines the database, the accounts and their credentials, the Dagster daemon, what its code
    server has loaded, schedules, lanes, rate limits,
    rejected records, order events, acceptances, damaged orders and flaws, in this order: what comes first is often the
    cause of what follows. Exit code 1 if something needs a person.
    """
    wrong: list[str] = []
    listed: list[dict[str, object]] = []
    for name, examine in EXAMINATIONS.items():
        found = list(findings(examine))
        listed.extend({"examination": name, **_as_json(finding)} for finding in found)
        for text, finding in _grouped(found):
            if not finding.ok:
                wrong.append(f"{name}: {text}")
            if not as_json:
                _print(name, text, finding)
    if as_json:
        click.echo(json.dumps(listed, indent=2))
    else:
        console.print(_summary(wrong), markup=False)
    sys.exit(EXIT_FAILED if wrong else EXIT_DONE)


def _print(examination: str, text: str, finding: Finding) -> None:
    console.print("[green]ok[/green]  " if finding.ok else "[red]FAIL[/red]", end="")
    console.print(f" {examination}: {text}", markup=False)
    if finding.remedy and not finding.ok:
        console.print(f"     → {finding.remedy}", markup=False)


def _grouped(found: Sequence[Finding]) -> Iterator[tuple[str, Finding]]:
    """The lines of an examination, what is wrong first: findings that differ only in the lane or account are one."""
    are_many = len(found) > MAX_NAMED

    def cause(finding: Finding) -> tuple[bool, str, str]:
        is_one_of_many = are_many and finding.ok and finding.about and not finding.is_notable
        return finding.ok, "" if is_one_of_many else finding.what, finding.remedy

    first_seen = {cause(finding): number for number, finding in reversed(list(enumerate(found)))}
    ordered = sorted(found, key=lambda finding: (finding.ok, first_seen[cause(finding)]))
    for _, group in groupby(ordered, key=cause):
        same = list(group)
        yield _line(same), same[0]


def _line(same: Sequence[Finding]) -> str:
    finding = same[0]
    if len(same) == 1 or not finding.about:
        return finding.text
    if len({each.what for each in same}) > 1:
        return f"{len(same)} are well"
    names = ", ".join(each.about for each in same[:MAX_NAMED])
    more = f" and {len(same) - MAX_NAMED} more" if len(same) > MAX_NAMED else ""
    return f"{names}{more}: {finding.what}"


def _summary(wrong: Sequence[str]) -> str:
    if not wrong:
        return "All is well."
    if len(wrong) == 1:
        return f"One finding needs you: {wrong[0]}"
    return f"{len(wrong)} findings need you. Begin with the first, often the cause of the others: {wrong[0]}"


def _as_json(finding: Finding) -> dict[str, object]:
    return {name: getattr(finding, name) for name in ("ok", "what", "remedy", "about", "is_notable")}
