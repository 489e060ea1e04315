"""The accounts of the project, each checked against the settings of its marketplace."""

from pathlib import Path
from typing import Any

from orders_sync.config.account import AccountConfigError, SellerAccount
from orders_sync.config.account_files import check_account, read_attributes
from orders_sync.config.environment import accounts_folder
from orders_sync.marketplaces.kit.registry import settings_models


def account_from(name: str, attributes: Any, file: str) -> SellerAccount:
    """The account of one file's `attributes`, checked by the settings of the marketplace that it names.

    Raises AccountConfigError with the file, the key, the reason and what is allowed.
    """
    return check_account(name, attributes, file, settings_models())


def load_accounts(folder: Path | None = None) -> tuple[dict[str, SellerAccount], dict[str, AccountConfigError]]:
    """All accounts of the accounts folder by name, and the problems of those that can't be used.

    One account's bad file never takes another down.
    """
    accounts: dict[str, SellerAccount] = {}
    problems: dict[str, AccountConfigError] = {}
    for path in sorted((folder or accounts_folder()).glob("*/defs.yaml")):
        name = path.parent.name
        try:
            accounts[name] = account_from(name, read_attributes(path), str(path))
        except AccountConfigError as problem:
            problems[name] = problem
    return accounts, problems


def find_account(name: str) -> SellerAccount:
    """One account by name. Raises AccountConfigError that lists the known names."""
    accounts, problems = load_accounts()
    if name in problems:
        raise problems[name]
    if name not in accounts:
        raise AccountConfigError(f"There is no account {name!r}; known are {', '.join(sorted(accounts)) or 'none'}.")
    return accounts[name]


def overselling_accounts() -> frozenset[str]:
    """The names of the accounts whose file lets them lock stock below zero (`allow_oversell`)."""
    usable, _ = load_accounts()
    return frozenset(name for name, account in usable.items() if account.settings.allow_oversell)
