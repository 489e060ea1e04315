"""The accounts: one YAML file each, read and checked the same way by Dagster's component and by the CLI."""

from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from orders_sync import marketplaces
from orders_sync.account_settings import Account, AccountProblem, AccountSettings
from orders_sync.settings import accounts_folder

COMPONENT_TYPE = "orders_sync.components.account.Account"


def check_account(name: str, attributes: Any, file: str) -> Account:
    """The account of one file's `attributes`. Raises AccountProblem with file, key, reason and what is allowed."""
    chosen = cast(dict[str, Any], attributes).get("marketplace") if isinstance(attributes, dict) else None
    if not isinstance(chosen, str) or chosen not in marketplaces.names():
        what = "is missing" if chosen is None else f"{chosen!r} is no marketplace we know"
        raise AccountProblem(f"{file}: marketplace: {what}; allowed are {', '.join(marketplaces.names())}")
    model = marketplaces.find(chosen).settings
    try:
        settings = model.model_validate(attributes)
    except ValidationError as error:
        raise AccountProblem("\n".join(_told(file, model, problem) for problem in error.errors())) from None
    return Account(name, file, settings)


def _told(file: str, model: type[AccountSettings], problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    field = model.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
    if problem["type"] == "extra_forbidden":
        return f"{file}: {key}: no such setting; allowed are {', '.join(model.model_fields)}"
    if problem["type"] == "missing":
        return f"{file}: {key}: is missing. {field.description if field else ''}"
    meaning = f" {field.description}" if field else ""
    return f"{file}: {key}: {problem['msg'].removeprefix('Value error, ')}.{meaning}"


def load_accounts(folder: Path | None = None) -> tuple[dict[str, Account], dict[str, AccountProblem]]:
    """All accounts of the accounts folder by name, and the problems of those that can't be used.

    One account's bad file never takes another down.
    """
    accounts: dict[str, Account] = {}
    problems: dict[str, AccountProblem] = {}
    for path in sorted((folder or accounts_folder()).glob("*/defs.yaml")):
        name = path.parent.name
        try:
            accounts[name] = check_account(name, read_attributes(path), str(path))
        except AccountProblem as problem:
            problems[name] = problem
    return accounts, problems


def read_attributes(path: Path) -> Any:
    """The `attributes` of an account's defs.yaml. Raises AccountProblem when it is not such a file."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise AccountProblem(f"{path}: is not readable YAML: {error}") from None
    if not isinstance(document, dict) or cast(dict[str, Any], document).get("type") != COMPONENT_TYPE:
        raise AccountProblem(f"{path}: type: must be {COMPONENT_TYPE}")
    return cast(dict[str, Any], document).get("attributes")


def find_account(name: str) -> Account:
    """One account by name. Raises AccountProblem that lists the known names."""
    accounts, problems = load_accounts()
    if name in problems:
        raise problems[name]
    if name not in accounts:
        raise AccountProblem(f"There is no account {name!r}; known are {', '.join(sorted(accounts)) or 'none'}.")
    return accounts[name]
