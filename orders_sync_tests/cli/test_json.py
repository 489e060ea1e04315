"""Every command that shows data prints it as JSON: nothing else on standard output, times in UTC, numbers as numbers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from orders_sync.cli import main
from orders_sync.cli.rows import for_programs
from orders_sync.database.engine import Connection
from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.cli import test_tables
from orders_sync_tests.cli.command_line import run

busy_shop = test_tables.busy_shop

ACTS = "it changes something, and says what it did in a line"
PROCESS = "it runs until it is stopped"
#: Commands without `--json`, and why.
WITHOUT: dict[str, str] = {
    **dict.fromkeys(
        (
            "accounts add", "accounts pause", "accounts resume", "acceptance hold-back", "lanes rewind", "drift seen",
            "rejected retry", "rejected dismiss", "init", "schedule run", "buyer erase", "db upgrade", "db backup", "db restore",
            "cutover begin", "cutover advance", "cutover back", "stock import", "stock adjust", "stock apply", "stock lock",
            "stock release", "stock undo-shipment", "stock return", "stock receive", "stock put-away", "stock retry-event",
            "stock skip-event", "subscriptions pause", "subscriptions resume", "subscriptions skip", "subscriptions replay",
            "subscriptions remove", "stock skus import", "stock held still-here", "stock held has-left",
        ),
        ACTS,
    ),
    **dict.fromkeys(("up", "daemon", "watch", "web", "sandbox", "db shell", "subscriptions deliver"), PROCESS),
    "buyer export": "it prints JSON anyway",
    "metrics": "it prints Prometheus's format",
    "subscriptions event": "it prints JSON anyway",
    "subscriptions secret": "it prints one secret",
    **dict.fromkeys(
        ("export orders", "export items", "export pick-list", "export documents"), "it writes CSV or Parquet"
    ),
    "documents save": "it writes files, and names them",
    "documents print": "it writes a PDF",
    "rejected show": "it prints the record as it was received",
    "errors show": "it prints the answer as it was received",
    "log": "it prints the lines of a log",
    "db roles": "it prints statements of SQL",
    "db url": "it prints one URL",
}  # fmt: skip


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """All commands that can be run, groups with something of their own to show included."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield " ".join((*path, name)), command
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def has_json(command: click.Command) -> bool:
    return any("--json" in parameter.opts for parameter in command.params)


def test_every_command_that_shows_data_has_json() -> None:
    without = {name for name, command in commands(main) if not has_json(command)}
    assert without == set(WITHOUT)


@pytest.mark.usefixtures("busy_shop")
def test_what_is_printed_is_json_alone_with_times_in_utc_and_numbers_as_numbers() -> None:
    for command in (*test_tables.TABLES, ("doctor",), ("stock", "settings")):
        result = run(*command, "--json")
        document = json.loads(result.stdout)
        for value in leaves(document):
            if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", value):
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", value), (command, value)
            assert (
                not isinstance(value, str)
                or not re.fullmatch(r"\d+\.\d+|yes|True|False", value)
                or "version" in str(document)
            ), (command, value)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def test_values_become_those_of_json(connection: Connection) -> None:
    ((amount, at, day, lasts),) = connection.execute(
        "SELECT 1.50::numeric, '2026-01-01 01:00+01'::timestamptz, '2026-01-02'::date, interval '90 seconds'"
    ).fetchall()
    assert for_programs({"amount": amount, "at": at, "day": day, "lasts": lasts, "all": (amount,)}) == {
        "amount": 1.5, "at": "2026-01-01T00:00:00+00:00", "day": "2026-01-02", "lasts": 90.0, "all": [1.5],
    }  # fmt: skip


def test_a_sync_prints_its_summary_as_json(shop: Marketplace, tmp_path: Path) -> None:
    (summary,) = json.loads(run("sync", "--type", "new", "--json").stdout)
    assert (summary["lane"], summary["fetched"], summary["problems"]) == ("shop/new", 0, [])
