"""Each number that people choose has the same bounds wherever they choose it: settings and command line.

The forms of jobs have no bounds of their own: a job says in one line what is wrong (`test_definitions.py`), and a bound of
a form would fail its run with a stack trace.
"""

from collections.abc import Iterator
from typing import Any, cast

import click
import pytest
from pydantic import BaseModel

from orders_sync.cli import main
from orders_sync.config import bounds
from orders_sync.config.account import AccountSettings
from orders_sync.config.bounds import Bounds
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.config.v1 import CutoverSettings
from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names
from orders_sync_tests.cli.command_line import run

SAME = [
    ("page_size", bounds.PAGE_SIZE, ["setting", "sync --page-size"]),
    ("days_back", bounds.DAYS_BACK, ["setting", "sync --days-back"]),
    ("pieces", bounds.PIECES, ["stock adjust PIECES", "stock receive PIECES"]),
    ("pieces", bounds.PIECES, ["stock put-away PIECES", "stock return PIECES"]),
    ("receipt", bounds.ROW_ID, ["stock put-away RECEIPT"]),
    ("event_id", bounds.ROW_ID, ["stock skip-event EVENT"]),
]


@pytest.mark.parametrize(
    ("name", "allowed", "places"), SAME, ids=lambda value: str(value) if isinstance(value, str) else ""
)
def test_a_number_has_the_same_bounds_in_each_place(name: str, allowed: Bounds, places: list[str]) -> None:
    assert {place: bounds_at(place, name) for place in places} == dict.fromkeys(places, allowed)


def bounds_at(place: str, name: str) -> Bounds:
    if place == "setting":
        return of_field(AccountSettings, name)
    *path, parameter = place.split()
    command: click.Command = main
    for part in path:
        command = cast(click.Group, command).commands[part]
    kind = next(each.type for each in command.params if parameter in (*each.opts, each.human_readable_name))
    assert isinstance(kind, click.IntRange)
    return Bounds(cast(int, kind.min), cast(int, kind.max))


def of_field(model: type[BaseModel], name: str) -> Bounds:
    return next(Bounds(*found) for field, found in numbers(model) if field == name and None not in found)


def numbers(model: type[BaseModel]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Each whole number of a model, nested ones too, with its least and greatest value."""
    schema = model.model_json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, field in part.get("properties", {}).items():
            for choice in (field, *field.get("anyOf", ())):
                if choice.get("type") == "integer" and "enum" not in choice:
                    yield name, (choice.get("minimum"), choice.get("maximum"))


def commands(command: click.Command, path: str = "orders-sync") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, f"{path} {name}")


def test_no_number_is_unbounded() -> None:
    """PostgreSQL and Python's dates would refuse a huge one later, in words that nobody understands."""
    models: list[type[BaseModel]] = [ScheduleSettings, CutoverSettings]
    models += [find_marketplace(name).settings for name in marketplace_names()]
    settings = [
        f"{model.__name__}.{name}" for model in models for name, found in numbers(model)
        if None in found and name != "shop_id"  # the marketplace's own number, which only the marketplace can judge
    ]  # fmt: skip
    options = [
        f"{path} {each.human_readable_name}"
        for path, command in commands(main)
        for each in command.params
        if each.type is click.INT or (isinstance(each.type, click.IntRange) and None in (each.type.min, each.type.max))
    ]
    assert (settings, options) == ([], [])


def test_no_marketplace_takes_larger_pages_than_the_command_line_offers() -> None:
    for name in marketplace_names():
        found = of_field(find_marketplace(name).settings, "page_size")
        assert bounds.PAGE_SIZE.least <= found.least <= found.greatest <= bounds.PAGE_SIZE.greatest


@pytest.mark.parametrize("value", ["0", "101", "-1", "9" * 30, "1.5", "NaN"])
def test_a_page_size_out_of_bounds_is_refused(value: str) -> None:
    result = run("sync", "--type", "new", "--page-size", value)
    assert result.exit_code == 2
    assert "--page-size" in result.output
