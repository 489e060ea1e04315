"""Account files: an error names file, key and reason, and concerns one account only."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import field_validator

from orders_sync.config.acceptance import RefuseAfter, WhenShort, when_short_in_force
from orders_sync.config.account import AccountConfigError, TokenSettings
from orders_sync.config.account_files import read_attributes
from orders_sync.config.environment import accounts_folder
from orders_sync.marketplaces.kit import accounts as kit_accounts
from orders_sync.marketplaces.kit.accounts import account_from, load_accounts
from orders_sync.testing.deployment import SANDBOX_ACCOUNTS

REFUSE = RefuseAfter(refuse_after=timedelta(hours=20))
GOOD = "type: orders_sync.components.account.Account\nattributes:\n  marketplace: back_market\n  token: A_TOKEN\n"


@pytest.mark.parametrize(
    ("attributes", "line"),
    [
        ({"token": "T"}, "marketplace: is missing"),
        ({"marketplace": "ebay", "token": "T"}, "marketplace: there is no marketplace 'ebay'; allowed are back_market,"),
        ({"marketplace": "back_market"}, "token: is missing. NAME of the environment variable"),
        ({"marketplace": "back_market", "token": "secret-abc="}, "token: can't be read; write it like SHOP_TOKEN. NAME of"),
        ({"marketplace": "back_market", "token": "T", "regoin": "eu"}, "regoin: no such setting (did you mean region?); allowed are"),
        ({"marketplace": "back_market", "token": "T", "region": "mars"}, "region: Input should be 'eu', 'na' or 'ap'"),
        ({"marketplace": "back_market", "token": "T", "page_size": 500}, "page_size: Input should be less than or equal to 50"),
        ({"marketplace": "back_market", "token": "T", "base_url": "http://example.com"}, "must start with https://"),
        ({"marketplace": "back_market", "token": "T", "limits": {"share": 2}}, "limits.share: "),
        ({"marketplace": "back_market", "token": "T", "document_hosts": ["https://labels.example.com/"]}, "document_hosts: "),
        ({"marketplace": "back_market", "token": "T", "document_hosts": ["*.com"]}, "'*.com' is no host; write it like"),
        ({"marketplace": "back_market", "token": "T", "document_hosts": ["*"]}, "'*' is no host; write it like"),
        ({"marketplace": "back_market", "token": "T", "syncs": {"cares": False}}, "syncs.cares: no such setting (did you mean care?)"),
        ({"marketplace": "back_market", "token": "T", "owners": ["orders"]}, "owners: 'orders' is no owner; write it like"),
        ({"marketplace": "back_market", "token": "T", "user_agent": "curl"}, "user_agent: can't be read; write it like BM-Acme-Orders;it@acme.example."),
        ({"marketplace": "back_market", "token": "T", "when_short": "refuse"}, "when_short: allowed are wait, accept, or refuse_after"),
        ({"marketplace": "back_market", "token": "T", "when_short": {"refuse_after": 20}}, "when_short: 20 is no duration; allowed are"),
        ({"marketplace": "back_market", "token": "T", "acceptance_deadline": "1 day"}, "acceptance_deadline: '1 day' is no duration"),
        (
            {"marketplace": "back_market", "token": "T", "when_short": {"refuse_after": "1d"}, "acceptance_deadline": "24h"},
            "when_short.refuse_after must be shorter than acceptance_deadline",
        ),
        ({"marketplace": "back_market", "token": "T", "pass_before_deadline": True}, "pass_before_deadline needs an acceptance_deadline"),
        ({"marketplace": "back_market", "token": "T", "accept_short_lines": "yes"}, "accept_short_lines: must be true or false"),
        (
            {"marketplace": "back_market", "token": "T", "accept_short_lines": True, "when_short": "wait"},
            "accept_short_lines: is the old name of when_short, which is set too",
        ),
    ],
)  # fmt: skip
def test_an_error_names_file_key_and_reason(attributes: dict[str, object], line: str) -> None:
    with pytest.raises(AccountConfigError) as problem:
        account_from("shop", attributes, "defs/accounts/shop/defs.yaml")
    assert str(problem.value).startswith("defs/accounts/shop/defs.yaml: ")
    assert line in str(problem.value)


def test_hosts_of_documents_are_names_or_all_hosts_below_one() -> None:
    hosts = ["labels.example.com", "*.S3.example.com", "files:9000", "192.0.2.7:8443"]
    account = account_from("shop", {"marketplace": "back_market", "token": "T", "document_hosts": hosts}, "defs.yaml")
    assert account.settings.document_hosts == ["labels.example.com", "*.s3.example.com", "files:9000", "192.0.2.7:8443"]


@pytest.mark.parametrize(("old", "present"), [(True, "accept"), (False, "wait"), (None, None)])
def test_the_old_name_of_when_short_still_counts_with_a_hint(
    old: bool | None, present: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    attributes = {"marketplace": "back_market", "token": "T", "accept_short_lines": old}
    assert account_from("shop", attributes, f"defs/accounts/{old}/defs.yaml").settings.when_short == present
    hint = f"defs/accounts/{old}/defs.yaml: accept_short_lines: {str(old).lower()}: is now named when_short: {present}"
    assert any(record.getMessage().startswith(hint) for record in caplog.records) == (old is not None)


def test_lines_can_be_refused_after_a_while() -> None:
    attributes = {"marketplace": "back_market", "token": "T", "when_short": {"refuse_after": "90m"}}
    assert account_from("shop", attributes, "defs.yaml").settings.when_short == RefuseAfter(
        refuse_after=timedelta(minutes=90)
    )


@pytest.mark.parametrize(
    ("setting", "has_stock_list", "in_force"),
    [
        (None, True, "wait"), (None, False, "accept"), ("wait", False, "wait"), ("accept", True, "accept"),
        (REFUSE, True, REFUSE), (REFUSE, False, "wait"),
    ],
)  # fmt: skip
def test_what_becomes_of_short_lines(setting: WhenShort | None, has_stock_list: bool, in_force: WhenShort) -> None:
    assert when_short_in_force(setting, has_stock_list=has_stock_list) == in_force


def test_a_bad_file_does_not_affect_other_accounts(tmp_path: Path) -> None:
    for name, text in {
        "good": GOOD,
        "broken": "a: [",
        "other": "type: something.Else\n",
        "wrong": GOOD + "  days_back: 0\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text(text)
    accounts, problems = load_accounts(tmp_path)
    assert list(accounts) == ["good"]
    assert sorted(problems) == ["broken", "other", "wrong"]
    assert "days_back: Input should be greater than or equal to 1" in str(problems["wrong"])


def test_settings_whose_check_fails_affect_no_other_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an adapter of the user's own, whose validator raises whatever it likes."""

    class Settings(TokenSettings):
        @field_validator("owners")
        @classmethod
        def _checked(cls, value: list[str]) -> list[str]:
            return [{"team:orders": "team:shop"}[owner] for owner in value]

    monkeypatch.setattr(kit_accounts, "settings_models", lambda: {"back_market": Settings})
    for name, text in {"good": GOOD, "odd": GOOD + "  owners: [team:x]\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text(text)
    usable, problems = load_accounts(tmp_path)
    assert list(usable) == ["good"]
    assert "KeyError" in str(problems["odd"])


@pytest.mark.parametrize("name", SANDBOX_ACCOUNTS)
def test_an_account_that_comes_with_the_project_is_usable(name: str) -> None:
    folder = accounts_folder() / name
    if not folder.exists():
        pytest.skip("this project has removed it")
    assert account_from(name, read_attributes(folder), str(folder / "defs.yaml")).credential()
