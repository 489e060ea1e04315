"""The account file that `dg scaffold defs orders_sync.components.account.Account accounts/NAME` writes."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from dagster import Scaffolder, ScaffoldRequest
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from orders_sync.config.account import AccountConfigError
from orders_sync.config.account_files import FILE_NAME, check_name
from orders_sync.config.environment import accounts_folder
from orders_sync.config.yaml_files import did_you_mean
from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names


class AccountChoice(BaseModel):
    """The parameters of `dg scaffold` for an account."""

    marketplace: str = Field(default="back_market", description="The marketplace, as in docs/reference/states.md.")


class AccountScaffolder(Scaffolder[AccountChoice]):
    """Writes every setting with its meaning. Settings that have a default are commented out."""

    @classmethod
    def get_scaffold_params(cls) -> type[AccountChoice]:
        return AccountChoice

    def scaffold(self, request: ScaffoldRequest[AccountChoice]) -> None:
        folder = request.target_path
        try:
            _check(folder, request.params.marketplace)
        except AccountConfigError as problem:
            with suppress(OSError):  # Dagster has just made it; one with files in it stays
                folder.rmdir()
            raise click.UsageError(str(problem)) from None
        (folder / FILE_NAME).write_text(account_file(request.type_name, request.params.marketplace, folder.name))
        click.echo(
            f"Wrote {folder / FILE_NAME}. Next: fill it in, set the environment variables that it names, and run "
            f"`orders-sync accounts check {folder.name}`. Dagster reads it when its code location is reloaded."
        )


def _check(folder: Path, marketplace: str) -> None:
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


def account_file(type_name: str, marketplace: str, name: str) -> str:
    """The text of an account file, for the marketplace of that name. Raises LookupError when there is no such one."""
    settings = find_marketplace(marketplace).settings
    title = find_marketplace(marketplace).title
    required, optional = [], []
    for key, field in settings.model_fields.items():
        if key == "marketplace":
            continue
        lines = required if key in settings.CREDENTIALS or field.is_required() else optional
        lines.append(f"  # {field.description}")
        lines.append(_line(key, field, name, is_credential=key in settings.CREDENTIALS))
    lines = [
        f"# One account at {title}. Credentials are NAMES of environment variables.",
        f"type: {type_name}", "", "attributes:", f"  marketplace: {marketplace}",
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
        return "{" + ", ".join(f"{key}: {_as_yaml(part)}" for key, part in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
