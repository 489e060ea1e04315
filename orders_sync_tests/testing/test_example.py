"""The example of orders_sync.testing's docstring runs as it stands."""

import re
import textwrap
from typing import Any

import pytest

import orders_sync.testing
from orders_sync.testing.databases import orders_database


def test_the_example_runs(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = orders_sync.testing.__doc__ or ""
    found = re.search(r"\n((?:    .*\n|\n)+)", text)
    assert found
    names: dict[str, Any] = {}
    exec(compile(textwrap.dedent(found.group(1)), "orders_sync.testing", "exec"), names)
    # The database is on this run's server, whichever that is.
    monkeypatch.setitem(names, "orders_database", lambda: orders_database(template))
    names["test_a_new_order_is_stored_once"]()


def test_the_docstring_names_every_module_of_the_harness() -> None:
    import pkgutil

    listed = set(re.findall(r"^\* `(\w+)`", orders_sync.testing.__doc__ or "", re.MULTILINE))
    internal = {"machine_speed", "one_deployment", "shared_deployment"}
    assert listed == {module.name for module in pkgutil.iter_modules(orders_sync.testing.__path__)} - internal
