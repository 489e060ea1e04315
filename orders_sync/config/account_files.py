"""The account files: one YAML file for each account, read and checked in one way for Dagster and the CLI."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from orders_sync.config.account import AccountConfigError, AccountSettings, SellerAccount
from orders_sync.config.sandbox_address import present_address
from orders_sync.config.yaml_files import (
    did_you_mean,
    read_component,
    refuse_templates,
    shown_name,
    validate,
    warn_of_old_key,
)

COMPONENT_TYPE = "orders_sync.components.account.Account"
FILE_NAME = "defs.yaml"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")
_YAML = (".yaml", ".yml")


def is_account_name(name: str) -> bool:
    """Whether an account may have this name, which is also that of a group of assets, of a pool and of a tag."""
    return _NAME.fullmatch(name) is not None


def check_name(folder: Path) -> None:
    """Raises AccountConfigError if the name of an account's folder can't be that of an account."""
    if not is_account_name(folder.name):
        suggested = re.sub(r"[^A-Za-z0-9]+", "_", folder.name).strip("_").lower()[:50]
        suggestion = f" Rename it, e.g. to {suggested}." if is_account_name(suggested) else " Rename it."
        raise AccountConfigError(
            f"{shown_name(str(folder))}: the name of an account's folder is that of the account; allowed are up to 50 "
            f"letters, digits and underscores, with a letter first.{suggestion}"
        )


def has_file(folder: Path) -> bool:
    """Whether an account's folder has its file. Raises AccountConfigError if it has another one instead."""
    if os.path.lexists(folder / FILE_NAME):  # what can't be read is reported when it is read
        return True
    if others := sorted(other for other in folder.glob("*") if other.suffix in _YAML):
        raise AccountConfigError(
            f"{shown_name(str(others[0]))}: is not read: an account's settings are in {FILE_NAME}. Rename it."
        )
    return False


def account_entries(folder: Path) -> Iterator[Path]:
    """What the accounts folder has in it: the folders of accounts, and files that are meant to be accounts.

    Whatever begins with a dot or an underscore is something else.
    """
    for path in sorted(folder.glob("[!._]*")):
        if path.is_dir() or path.suffix in _YAML:
            yield path


def check_account(name: str, attributes: Any, file: str, models: Mapping[str, type[AccountSettings]]) -> SellerAccount:
    """The account of one file's `attributes`, checked by the model of the marketplace that it names.

    `models`: the settings model of each marketplace, by name. Raises AccountConfigError with the file, the key, the
    reason and what is allowed.
    """
    refuse_templates(attributes, file, AccountConfigError)
    chosen = cast(dict[str, Any], attributes).get("marketplace") if isinstance(attributes, dict) else None
    if not isinstance(chosen, str) or chosen not in models:
        problem = "is missing"
        if chosen is not None:
            problem = f"there is no marketplace {chosen!r}{did_you_mean(chosen, models)}"
        raise AccountConfigError(f"{file}: marketplace: {problem}; allowed are {', '.join(sorted(models))}")
    attributes = _without_accept_short_lines(cast(dict[str, Any], attributes), file)
    settings = validate(attributes, models[chosen], file, AccountConfigError)
    present = settings.model_copy(update={"base_url": present_address(settings.base_url)})
    return SellerAccount(name, file, present)


def _without_accept_short_lines(attributes: dict[str, Any], file: str) -> dict[str, Any]:
    """The attributes with `when_short` in place of the key that it replaced in 0.2. Raises AccountConfigError."""
    old = "accept_short_lines"
    if old not in attributes:
        return attributes
    rest = {key: value for key, value in attributes.items() if key != old}
    if attributes[old] is None:
        return rest
    if not isinstance(attributes[old], bool):
        raise AccountConfigError(f"{file}: {old}: must be true or false; use when_short instead.")
    if "when_short" in rest:
        raise AccountConfigError(f"{file}: {old}: is the old name of when_short, which is set too; remove {old}.")
    present = "accept" if attributes[old] else "wait"
    warn_of_old_key(file, f"{old}: {str(attributes[old]).lower()}", f"when_short: {present}")
    return {**rest, "when_short": present}


def read_attributes(entry: Path) -> Any:
    """The `attributes` of an account.

    `entry`: its folder, or what else `account_entries` gives. Raises AccountConfigError with what is wrong: the name,
    the place of the file, or the file.
    """
    if not entry.is_dir():
        raise AccountConfigError(
            f"{shown_name(str(entry))}: is not read: an account is a folder with a {FILE_NAME}. Move it to "
            f"{shown_name(str(entry.parent / entry.stem / FILE_NAME))}."
        )
    check_name(entry)
    if not has_file(entry):
        raise AccountConfigError(
            f"{entry}: an account's folder has its settings in {FILE_NAME}. Write one, or delete the folder."
        )
    return read_component(entry / FILE_NAME, COMPONENT_TYPE, AccountConfigError)
