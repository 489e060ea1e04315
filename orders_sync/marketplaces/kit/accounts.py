"""The accounts of the project, each checked against the settings model of its marketplace."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from orders_sync.config.account import AccountConfigError, SellerAccount
from orders_sync.config.account_files import (
    FILE_NAME,
    account_entries,
    check_account,
    is_account_name,
    read_attributes,
)
from orders_sync.config.environment import accounts_folder
from orders_sync.config.yaml_files import closest, shown_name
from orders_sync.marketplaces.kit.registry import settings_models, unusable_modules
from orders_sync.model.lane import Lane, SyncType


def account_from(name: str, attributes: Any, file: str) -> SellerAccount:
    """The account of one file's `attributes`, checked by the settings model of the marketplace that it names.

    Raises AccountConfigError with the file, the key, the reason and what is allowed; where the name is that of a module
    that is not a marketplace, with the reason of `unusable_modules`.
    """
    models = settings_models()
    chosen = cast(dict[str, Any], attributes).get("marketplace") if isinstance(attributes, dict) else None
    reason = unusable_modules().get(chosen) if isinstance(chosen, str) else None
    if reason is not None:
        raise AccountConfigError(
            f"{file}: marketplace: {chosen} can't be used: orders_sync/marketplaces/{chosen}.py {reason}; "
            f"allowed are {', '.join(sorted(models))}"
        )
    return check_account(name, attributes, file, models)


def load_accounts(folder: Path | None = None) -> tuple[dict[str, SellerAccount], dict[str, AccountConfigError]]:
    """All accounts of the accounts folder by name, and the errors of those that can't be used, by name.

    One account's bad file does not affect the others.
    """
    accounts: dict[str, SellerAccount] = {}
    problems: dict[str, AccountConfigError] = {}
    for entry in account_entries(folder or accounts_folder()):
        name = shown_name(entry.name)
        try:
            accounts[name] = account_from(name, read_attributes(entry), str(entry / FILE_NAME))
        except AccountConfigError as problem:
            problems[name] = problem
        except Exception as problem:  # whatever an adapter's settings make of a value
            problems[name] = AccountConfigError(f"{shown_name(str(entry))}: can't be used: {type(problem).__name__}")
    return accounts, problems


def lanes_on(accounts: Mapping[str, SellerAccount]) -> list[Lane]:
    """The lanes that run by themselves: those of all syncs that the accounts' files do not switch off."""
    return [
        Lane(name, sync_type)
        for name, account in accounts.items()
        for sync_type in SyncType
        if account.has_on(sync_type)
    ]


def find_account(name: str) -> SellerAccount:
    """One account by name. Raises AccountConfigError with the reason, or with the names of all usable accounts."""
    accounts, problems = load_accounts()
    if name in problems:
        raise problems[name]
    check_account_name(name)
    return accounts[name]


def check_account_name(name: str) -> None:
    """Raises AccountConfigError, with what may have been meant, if there is no account file of this name.

    The account may have a file that can't be used: what it stored earlier can be looked at all the same.
    """
    accounts, problems = load_accounts()
    if name in accounts or name in problems:
        return
    missing = f"There is no account {shown_name(name) or 'without a name'}"
    if close := closest(name, (*accounts, *problems)):
        raise AccountConfigError(f"{missing}. Did you mean {close}?")
    raise AccountConfigError(f"{missing}; allowed are {', '.join(sorted(accounts)) or 'none'}.")


def account_names() -> list[str]:
    """The names of all accounts that have a file, also of those whose file can't be used."""
    usable, problems = load_accounts()
    return sorted({*usable, *problems})


def names_of_files() -> list[str]:
    """The names that accounts can have, of all that have a folder. Their files are not read."""
    return [entry.name for entry in account_entries(accounts_folder()) if is_account_name(entry.name)]


def overselling_accounts() -> frozenset[str]:
    """The names of the accounts whose file lets them lock stock below zero (`allow_oversell`)."""
    usable, _ = load_accounts()
    return frozenset(name for name, account in usable.items() if account.settings.allow_oversell)


def accounts_that_release_at_once() -> frozenset[str]:
    """The names of the accounts whose file releases cancelled pieces also after the label (`hold_after_label`)."""
    usable, _ = load_accounts()
    return frozenset(name for name, account in usable.items() if not account.settings.hold_after_label)


def restocking_accounts() -> frozenset[str]:
    """The names of the accounts whose file lets received returns be booked as pieces on hand (`restock_returns`)."""
    usable, _ = load_accounts()
    return frozenset(name for name, account in usable.items() if account.settings.restock_returns)
