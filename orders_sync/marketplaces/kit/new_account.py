"""The file of a new account: every setting with its meaning, those with a default commented out."""

import re
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orders_sync.config.account import AccountConfigError
from orders_sync.config.account_files import COMPONENT_TYPE, FILE_NAME, check_name
from orders_sync.config.environment import accounts_folder
from orders_sync.config.yaml_files import did_you_mean
from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names


def next_step(folder: Path) -> str:
    """What there is to do once the file of an account is written."""
    return (
        f"Wrote {folder / FILE_NAME}. Next: fill it in, set the environment variables that it names, and run "
        f"`orders-sync accounts check {folder.name}`. Dagster reads it when its code location is reloaded."
    )


def check_new_account(folder: Path, marketplace: str) -> None:
    """Raises AccountConfigError if there can be no such account, or not there."""
    check_name(folder)
    if folder.parent.resolve() != accounts_folder():
        raise AccountConfigError(
            f"{folder}: is not read there: accounts are in {accounts_folder()}; write accounts/{folder.name}."
        )
    names = marketplace_names()
    if marketplace not in names:
        allowed = ", ".join(names)
        meant = did_you_mean(marketplace, names)
        raise AccountConfigError(f"There is no marketplace {marketplace!r}{meant}; allowed are {allowed}.")


def account_file(marketplace: str, name: str) -> str:
    """The text of an account file, for the marketplace of that name. Raises LookupError when there is no such one."""
    settings = find_marketplace(marketplace).settings
    title = find_marketplace(marketplace).title
    required: list[str] = []
    optional: list[str] = []
    for key, field in settings.model_fields.items():
        if key == "marketplace":
            continue
        lines = required if key in settings.CREDENTIALS or field.is_required() else optional
        lines.append(f"  # {field.description}")
        lines.append(_line(key, field, name, is_credential=key in settings.CREDENTIALS))
    lines = [
        f"# One account at {title}. Credentials are NAMES of environment variables.",
        f"type: {COMPONENT_TYPE}", "", "attributes:", f"  marketplace: {marketplace}",
    ]  # fmt: skip
    if optional:
        optional.insert(0, "\n  # The rest has defaults, which are shown.")
    return "\n".join([*lines, *required, *optional]) + "\n"


def _line(key: str, field: FieldInfo, account: str, *, is_credential: bool) -> str:
    """The line of one setting; one that has a default is commented out."""
    if is_credential:
        return f"  {key}: {re.sub(r'[^A-Z0-9]', '_', f'{account}_{key}'.upper())}"
    if field.is_required():
        return f"  {key}: # fill in"
    return f"  # {key}: {_as_yaml(field.get_default(call_default_factory=True))}"


def _as_yaml(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "{" + ", ".join(f"{key}: {_as_yaml(part)}" for key, part in value if part is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(str, cast(list[Any], value))) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
