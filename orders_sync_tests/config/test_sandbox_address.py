"""The sandbox's accounts follow to the port that the sandbox listens on."""

from pathlib import Path

import pytest

from orders_sync.config.environment import STATE_FOLDER
from orders_sync.config.sandbox_address import note_sandbox_port, present_address
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.testing.deployment import write_account

AT_SANDBOX = "http://127.0.0.1:8765"


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv(STATE_FOLDER, str(folder))
    return folder


def test_only_the_sandbox_s_own_address_follows() -> None:
    assert present_address(AT_SANDBOX) == AT_SANDBOX
    note_sandbox_port(9001)
    assert present_address(AT_SANDBOX) == "http://127.0.0.1:9001"
    assert present_address("http://127.0.0.1:8800") == "http://127.0.0.1:8800"
    assert present_address("https://shop.example.com") == "https://shop.example.com"
    assert present_address(None) is None
    note_sandbox_port(8765)
    assert present_address(AT_SANDBOX) == AT_SANDBOX


def test_an_account_at_the_sandbox_is_loaded_with_the_present_port(tmp_path: Path) -> None:
    write_account(
        tmp_path, "shop", {"marketplace": "back_market", "base_url": AT_SANDBOX, "token": "BACK_MARKET_SANDBOX_TOKEN"}
    )
    note_sandbox_port(9001)
    usable, _ = load_accounts(tmp_path)
    assert usable["shop"].settings.base_url == "http://127.0.0.1:9001"


def test_a_state_folder_that_can_not_be_used_changes_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state / "sandbox_port").write_text("many")
    assert present_address(AT_SANDBOX) == AT_SANDBOX
    monkeypatch.setenv(STATE_FOLDER, str(state / "sandbox_port"))
    assert present_address(AT_SANDBOX) == AT_SANDBOX
