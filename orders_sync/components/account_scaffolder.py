"""The account file that `dg scaffold defs orders_sync.components.account.Account accounts/NAME` writes."""

import re
from typing import Any

from dagster import Scaffolder, ScaffoldRequest
from pydantic import BaseModel, Field

from orders_sync.marketplaces.kit.registry import find_marketplace


class AccountChoice(BaseModel):
    """The parameters of `dg scaffold` for an account."""

    marketplace: str = Field(default="back_market", description="The marketplace, as in docs/reference/states.md.")


class AccountScaffolder(Scaffolder[AccountChoice]):
    """Writes every setting with its meaning. Settings that have a default are commented out."""

    @classmethod
    def get_scaffold_params(cls) -> type[AccountChoice]:
        return AccountChoice

    def scaffold(self, request: ScaffoldRequest[AccountChoice]) -> None:
        text = account_file(request.type_name, request.params.marketplace, request.target_path.name)
        (request.target_path / "defs.yaml").write_text(text)


def account_file(type_name: str, marketplace: str, name: str) -> str:
    """The text of an account file, for the marketplace of that name. Raises LookupError when there is no such one."""
    settings = find_marketplace(marketplace).settings
    title = find_marketplace(marketplace).title
    lines = [
        f"# One account at {title}. Credentials are NAMES of environment variables.",
        f"type: {type_name}", "", "attributes:", f"  marketplace: {marketplace}",
    ]  # fmt: skip
    for key, field in settings.model_fields.items():
        if key == "marketplace":
            continue
        lines.append(f"  # {field.description}")
        if key in settings.CREDENTIALS:
            lines.append(f"  {key}: {re.sub(r'[^A-Z0-9]', '_', f'{name}_{key}'.upper())}")
        elif field.is_required():
            lines.append(f"  {key}: # fill in")
        else:
            lines.append(f"  # {key}: {_as_yaml(field.get_default(call_default_factory=True))}")
    return "\n".join(lines) + "\n"


def _as_yaml(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "{" + ", ".join(f"{key}: {_as_yaml(part)}" for key, part in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
