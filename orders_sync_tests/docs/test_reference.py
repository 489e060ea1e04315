"""The generated pages of docs/ say what the code says, and generators find what is missing in the code."""

import re

import pytest
from sqlalchemy import Column, MetaData, Table, Text

from docs.generate.__main__ import DOCS, contents, outdated
from docs.generate.layers import layers
from docs.generate.settings import settings_table
from docs.generate.tables import columns_table
from orders_sync.config.environment import ENVIRONMENT_VARIABLES, PROJECT_ROOT
from orders_sync.config.subscriptions import DagsterConsumer, SubscriptionSettings
from orders_sync.database.tables import metadata
from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names
from orders_sync.model.statuses import Status


def test_the_generated_pages_are_up_to_date() -> None:
    names = [str(path.relative_to(PROJECT_ROOT)) for path in outdated()]
    assert names == [], "run `make reference` and commit the result"


def test_every_setting_table_and_state_is_in_the_reference() -> None:
    pages = {path.relative_to(DOCS).as_posix(): text for path, text in contents().items()}
    for name in marketplace_names():
        for key in find_marketplace(name).settings.model_fields:
            assert f"| `{key}` |" in pages["reference/settings.md"]
    for table in metadata.tables.values():
        assert f"\n## {table.name}\n" in pages["reference/tables.md"]
    for variable in ENVIRONMENT_VARIABLES:
        assert f"| `{variable}` |" in pages["reference/settings.md"]
    for status in Status:
        assert f"| `{status}` |" in pages["reference/states.md"]


def test_a_default_is_written_as_a_file_writes_it() -> None:
    assert re.search(r"\| `alert_after` \|.*\| `30m` \|", settings_table(SubscriptionSettings))
    assert re.search(r"\| `lease` \|.*\| `10m` \|", settings_table(DagsterConsumer))


def test_a_column_without_meaning_is_an_error() -> None:
    table = Table("shelves", MetaData(), Column("room", Text))
    with pytest.raises(ValueError, match=r"shelves\.room has no comment"):
        columns_table(table)
    table.columns["room"].comment = "where it stands"
    assert "| `room` | text | Where it stands. |" in columns_table(table)


def test_the_architecture_page_describes_every_folder_of_the_layers() -> None:
    text = (DOCS / "architecture.md").read_text()
    for folder in (name for layer in layers() for name in layer):
        assert f"`orders_sync/{folder}" in text, folder
