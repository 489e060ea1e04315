"""The line that is named for an exception of an adapter: its own, wherever the adapter is installed."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from orders_sync import marketplaces
from orders_sync.marketplaces.kit import registry
from orders_sync.marketplaces.kit.errors import AdapterError, of_adapter

ADAPTER = """
import dataclasses, json
from orders_sync.marketplaces.back_market import MARKETPLACE as BACK_MARKET
from their_library import read

class Settings(BACK_MARKET.settings):
    pass

MARKETPLACE = dataclasses.replace(BACK_MARKET, settings=Settings)

def raise_itself():
    return {}["Jane Doe"]

def raise_in_the_standard_library():
    return json.loads("{")

def raise_in_a_library():
    return read()
"""
LIBRARY = """
def read():
    return {}["Jane Doe"]
"""


@pytest.fixture(params=["package", "module"])
def adapter(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """An adapter that is installed as a package, or as a single module, beside a library that it uses."""
    installed, named = tmp_path / "site-packages", tmp_path / "marketplaces"
    name = {"package": "their_shop.adapters.shop", "module": "their_shop"}[request.param]
    file = installed / (name.replace(".", "/") + ".py")
    file.parent.mkdir(parents=True)
    file.write_text(ADAPTER)
    (installed / "their_library.py").write_text(LIBRARY)
    named.mkdir()
    (named / "shop.py").write_text(f"from {name} import MARKETPLACE\n")
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setattr(marketplaces, "__path__", [*marketplaces.__path__, str(named)])
    monkeypatch.setattr("orders_sync.marketplaces.kit.errors._PACKAGES", [installed])
    registry.reload()
    registry.find_marketplace("shop")
    yield importlib.import_module(name)
    for module in [each for each in sys.modules if each.startswith("their_") or each.endswith("marketplaces.shop")]:
        del sys.modules[module]
    registry.reload()


@pytest.mark.parametrize("function", ["raise_itself", "raise_in_the_standard_library", "raise_in_a_library"])
def test_it_is_a_line_of_the_adapter(adapter: ModuleType, function: str) -> None:
    before, _, _ = ADAPTER.partition(f"def {function}():")
    line = before.count("\n") + 2
    file = Path(str(adapter.__file__)).name
    with pytest.raises(AdapterError, match=rf"raised \w+ in {file}, line {line}$"), of_adapter("order"):
        getattr(adapter, function)()
