"""`orders-sync doctor`: checks everything that usually goes wrong, and says what to do about each finding."""

import sys
from collections.abc import Callable, Iterator

import click

from orders_sync.cli.examinations import EXAMINATIONS, Finding
from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console
from orders_sync.database.problems import postgresql_error, problem_of


@click.command()
def doctor() -> None:
    """Check what usually goes wrong, and say what to do.

    Examines the database, the accounts and their credentials, the Dagster daemon, schedules, lanes, rate limits,
    rejected records, order events, acceptances, damaged orders and flaws. Exit code 1 if something needs a person.
    """
    failed = False
    for name, examine in EXAMINATIONS.items():
        for finding in _findings(examine):
            failed = failed or not finding.ok
            console.print("[green]ok[/green]  " if finding.ok else "[red]FAIL[/red]", end="")
            console.print(f" {name}: {finding.text}", markup=False)
            if finding.remedy and not finding.ok:
                console.print(f"     → {finding.remedy}", markup=False)
    sys.exit(EXIT_FAILED if failed else EXIT_DONE)


def _findings(examine: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of an examination; an error in it is a finding too, so that the other examinations run."""
    try:
        yield from examine()
    except Exception as error:
        if (cause := postgresql_error(error)) is not None:
            error = problem_of(cause)
        yield Finding(False, str(error).splitlines()[0] if str(error) else type(error).__name__)
