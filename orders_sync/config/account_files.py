"""The account files: one YAML file for each account, read and checked in one way for Dagster and the CLI."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from orders_sync.config.account import AccountConfigError, AccountSettings, SellerAccount
from orders_sync.config.yaml_files import read_component, refuse_templates, validate, warn_of_old_key

COMPONENT_TYPE = "orders_sync.components.account.Account"


def check_account(name: str, attributes: Any, file: str, models: Mapping[str, type[AccountSettings]]) -> SellerAccount:
    """The account of one file's `attributes`, checked by the model of the marketplace that it names.

    `models`: the settings model of each marketplace, by name. Raises AccountConfigError with the file, the key, the
    reason and what is allowed.
    """
    refuse_templates(attributes, file, AccountConfigError)
    chosen = cast(dict[str, Any], attributes).get("marketplace") if isinstance(attributes, dict) else None
    if not isinstance(chosen, str) or chosen not in models:
        problem = "is missing" if chosen is None else f"there is no marketplace {chosen!r}"
        raise AccountConfigError(f"{file}: marketplace: {problem}; allowed are {', '.join(sorted(models))}")
    attributes = _without_accept_short_lines(cast(dict[str, Any], attributes), file)
    return SellerAccount(name, file, validate(attributes, models[chosen], file, AccountConfigError))


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


def read_attributes(path: Path) -> Any:
    """The `attributes` of an account's defs.yaml. Raises AccountConfigError when it is not an account file."""
    return read_component(path, COMPONENT_TYPE, AccountConfigError)
