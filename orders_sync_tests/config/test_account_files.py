"""Account files: an error names file, key and reason, and concerns one account only."""

from pathlib import Path

import pytest

from orders_sync.config.account import AccountConfigError
from orders_sync.config.account_files import read_attributes
from orders_sync.config.environment import accounts_folder
from orders_sync.marketplaces.kit.accounts import account_from, load_accounts
from orders_sync.testing.deployment import SANDBOX_ACCOUNTS

GOOD = "type: orders_sync.components.account.Account\nattributes:\n  marketplace: back_market\n  token: A_TOKEN\n"


@pytest.mark.parametrize(
    ("attributes", "line"),
    [
        ({"token": "T"}, "marketplace: is missing"),
        ({"marketplace": "ebay", "token": "T"}, "marketplace: there is no marketplace 'ebay'; allowed are back_market,"),
        ({"marketplace": "back_market"}, "token: is missing. NAME of the environment variable"),
        ({"marketplace": "back_market", "token": "secret-abc="}, "token: String should match pattern"),
        ({"marketplace": "back_market", "token": "T", "regoin": "eu"}, "regoin: no such setting; allowed are marketplace,"),
        ({"marketplace": "back_market", "token": "T", "region": "mars"}, "region: Input should be 'eu', 'na' or 'ap'"),
        ({"marketplace": "back_market", "token": "T", "page_size": 500}, "page_size: Input should be less than or equal to 50"),
        ({"marketplace": "back_market", "token": "T", "base_url": "http://example.com"}, "must start with https://"),
        ({"marketplace": "back_market", "token": "T", "limits": {"share": 2}}, "limits.share: "),
        ({"marketplace": "back_market", "token": "T", "document_hosts": ["https://labels.example.com/"]}, "document_hosts: "),
        ({"marketplace": "back_market", "token": "T", "document_hosts": ["*.com"]}, "'*.com' is no host; write it like"),
        ({"marketplace": "back_market", "token": "T", "document_hosts": ["*"]}, "'*' is no host; write it like"),
        ({"marketplace": "back_market", "token": "T", "user_agent": "curl"}, "user_agent: String should match pattern"),
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


@pytest.mark.parametrize("name", SANDBOX_ACCOUNTS)
def test_an_account_that_comes_with_the_project_is_usable(name: str) -> None:
    file = accounts_folder() / name / "defs.yaml"
    if not file.exists():
        pytest.skip("this project has removed it")
    assert account_from(name, read_attributes(file), str(file)).credential()
