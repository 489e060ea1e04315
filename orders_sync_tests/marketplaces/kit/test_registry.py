"""The registry: a module that is not a marketplace, or can't be imported, takes nothing else down."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate.__main__ import contents
from orders_sync import marketplaces
from orders_sync.config.account import AccountConfigError
from orders_sync.marketplaces.kit import registry
from orders_sync.marketplaces.kit.accounts import account_from, load_accounts
from orders_sync.marketplaces.kit.registry import (
    broken_modules,
    find_marketplace,
    marketplace_names,
    unusable_modules,
)
from orders_sync.testing.deployment import SANDBOX_ACCOUNTS, environment
from orders_sync.testing.waiting import limit

NAMES = ("back_market", "medusa", "mirakl", "refurbed")
#: Files as a developer of an adapter may leave them, and the reason that is shown for each.
MODULES = {
    "text": ('"""Text functions of an adapter."""\n', "has no MARKETPLACE, so no account can name it"),
    "half_done": ("MARKETPLACE = None\n", "has a MARKETPLACE that is no RegisteredMarketplace"),
    "raising": ("raise RuntimeError('no such\\n  contract')\n", "can't be imported: RuntimeError: no such contract"),
    "broken": ("def f(:\n", "can't be imported: SyntaxError: invalid syntax"),
    "outdated": (
        "from orders_sync.marketplaces.kit.decoding import check_field_order\n"
        "from orders_sync.model.records import CareRecord\n"
        "check_field_order(CareRecord, ('care_id', 'items', 'kind'))\n",
        "can't be imported: TypeError: the fields of CareRecord are care_id, items,",
    ),
}
LOAD_DEFINITIONS = """
import sys
from orders_sync import marketplaces
marketplaces.__path__ = [*marketplaces.__path__, sys.argv[1]]
from orders_sync.definitions import defs
print(*sorted({key.path[0] for key in defs().resolve_asset_graph().get_all_asset_keys() if len(key.path) == 2}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all of MODULES."""
    for name, (source, _) in MODULES.items():
        (tmp_path / f"{name}.py").write_text(source)
    return tmp_path


@pytest.fixture
def among_the_adapters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder's modules are found beside the adapters, as if they were in their package."""
    monkeypatch.setattr(marketplaces, "__path__", [*marketplaces.__path__, str(folder)])
    registry.reload()
    yield
    for name in MODULES:
        sys.modules.pop(f"{marketplaces.__name__}.{name}", None)
    registry.reload()


def test_every_module_of_the_package_is_a_marketplace() -> None:
    assert marketplace_names() == NAMES
    assert not unusable_modules()


def test_other_modules_are_left_out_with_the_reason_in_one_line(among_the_adapters: None) -> None:
    assert marketplace_names() == NAMES
    assert sorted(unusable_modules()) == sorted(MODULES)
    for name, (_, reason) in MODULES.items():
        assert unusable_modules()[name].startswith(reason)
        assert "\n" not in unusable_modules()[name]
    assert set(MODULES) - set(broken_modules()) == {"text"}, "a helper is not broken"


@pytest.mark.parametrize("name", MODULES)
def test_an_account_that_names_such_a_module_gets_the_reason(among_the_adapters: None, name: str) -> None:
    with pytest.raises(AccountConfigError) as problem:
        account_from("shop", {"marketplace": name, "token": "T"}, "defs/accounts/shop/defs.yaml")
    assert str(problem.value).startswith(
        f"defs/accounts/shop/defs.yaml: marketplace: {name} can't be used: orders_sync/marketplaces/{name}.py "
        f"{MODULES[name][1]}"
    )
    assert str(problem.value).endswith(f"; allowed are {', '.join(NAMES)}")
    with pytest.raises(LookupError, match=rf"There is no marketplace '{name}' \(orders_sync/marketplaces/{name}.py "):
        find_marketplace(name)


def test_the_documentation_leaves_helpers_out_and_is_not_made_without_a_broken_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the code location does: a helper needs no page, and a broken adapter is reported."""
    monkeypatch.setattr(marketplaces, "__path__", [*marketplaces.__path__, str(tmp_path)])
    (tmp_path / "text.py").write_text(MODULES["text"][0])
    registry.reload()
    try:
        assert "text" in unusable_modules()
        assert contents()
        (tmp_path / "half_done.py").write_text(MODULES["half_done"][0])
        registry.reload()
        with pytest.raises(ImportError, match=r"^orders_sync/marketplaces/half_done\.py has a MARKETPLACE"):
            contents()
    finally:
        for name in ("text", "half_done"):
            sys.modules.pop(f"{marketplaces.__name__}.{name}", None)
        registry.reload()


def test_a_name_without_a_module_gets_the_names_that_are_allowed() -> None:
    with pytest.raises(LookupError, match=r"There is no marketplace 'ebay'; allowed are back_market, medusa, mirakl,"):
        find_marketplace("ebay")


def test_the_other_accounts_stay_usable(among_the_adapters: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    accounts_folder = tmp_path_factory.mktemp("accounts")
    for name, marketplace in {"good": "back_market", "bad": "raising"}.items():
        (accounts_folder / name).mkdir()
        (accounts_folder / name / "defs.yaml").write_text(
            "type: orders_sync.components.account.Account\n"
            f"attributes:\n  marketplace: {marketplace}\n  token: A_TOKEN\n"
        )
    accounts, problems = load_accounts(accounts_folder)
    assert (list(accounts), list(problems)) == (["good"], ["bad"])


def test_the_code_location_loads_with_such_modules_in_place(folder: Path, project_of_the_tests: Path) -> None:
    """In a process of its own, since definitions are loaded once per process."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD_DEFINITIONS, str(folder)],
        cwd=project_of_the_tests, env=environment(PYTHONPATH=str(project_of_the_tests)), capture_output=True, text=True,
        timeout=limit(120), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(SANDBOX_ACCOUNTS) <= set(done.stdout.split())
    assert "orders_sync/marketplaces/raising.py can't be imported: RuntimeError" in done.stderr
