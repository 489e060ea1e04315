"""The account files: one YAML file for each account, read and checked in one way for Dagster and the CLI."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from orders_sync.config.account import AccountConfigError, AccountSettings, SellerAccount

COMPONENT_TYPE = "orders_sync.components.account.Account"


def check_account(name: str, attributes: Any, file: str, models: Mapping[str, type[AccountSettings]]) -> SellerAccount:
    """The account of one file's `attributes`, checked by the model of the marketplace that it names.

    `models`: the settings model of each marketplace, by name. Raises AccountConfigError with the file, the key, the
    reason and what is allowed.
    """
    chosen = cast(dict[str, Any], attributes).get("marketplace") if isinstance(attributes, dict) else None
    if not isinstance(chosen, str) or chosen not in models:
        what = "is missing" if chosen is None else f"there is no marketplace {chosen!r}"
        raise AccountConfigError(f"{file}: marketplace: {what}; allowed are {', '.join(sorted(models))}")
    model = models[chosen]
    try:
        settings = model.model_validate(attributes)
    except ValidationError as error:
        raise AccountConfigError("\n".join(_told(file, model, problem) for problem in error.errors())) from None
    return SellerAccount(name, file, settings)


def _told(file: str, model: type[AccountSettings], problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    field = model.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
    if problem["type"] == "extra_forbidden":
        return f"{file}: {key}: no such setting; allowed are {', '.join(model.model_fields)}"
    if problem["type"] == "missing":
        return f"{file}: {key}: is missing. {field.description if field else ''}"
    meaning = f" {field.description}" if field else ""
    return f"{file}: {key}: {problem['msg'].removeprefix('Value error, ')}.{meaning}"


def read_attributes(path: Path) -> Any:
    """The `attributes` of an account's defs.yaml. Raises AccountConfigError when it is not such a file."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise AccountConfigError(f"{path}: is not readable YAML: {error}") from None
    if not isinstance(document, dict) or cast(dict[str, Any], document).get("type") != COMPONENT_TYPE:
        raise AccountConfigError(f"{path}: type: must be {COMPONENT_TYPE}")
    return cast(dict[str, Any], document).get("attributes")
