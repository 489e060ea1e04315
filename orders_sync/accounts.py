"""The accounts: one YAML file each, read and checked the same way by Dagster's component and by the CLI."""

import os
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from orders_sync.settings import accounts_folder

COMPONENT_TYPE = "orders_sync.components.account.Account"


class AccountProblem(RuntimeError):
    """An account can't be used as configured: which file, which key, what is wrong, what is allowed."""


class Limits(BaseModel):
    """How hard the marketplace may be asked."""

    model_config = ConfigDict(extra="forbid")

    enforced: bool = Field(default=True, description="Keep to the marketplace's published rate limits.")
    share: float = Field(
        default=0.95, gt=0, le=1, description="The share of the published rate that the syncs may use."
    )
    connections: int = Field(default=8, ge=1, le=64, description="Requests under way at once.")


class AccountSettings(BaseModel):
    """One seller account at one marketplace."""

    model_config = ConfigDict(extra="forbid")

    marketplace: Literal["back_market"] = Field(description="The adapter that speaks the marketplace's API.")
    region: Literal["eu", "na", "ap"] = Field(default="eu", description="Which of the marketplace's platforms.")
    preprod: bool = Field(default=False, description="Use the marketplace's rehearsal platform.")
    base_url: str | None = Field(
        default=None,
        description="Overrides the region's address, e.g. for the sandbox: http://127.0.0.1:8765",
    )
    token: str = Field(
        description="NAME of the environment variable that holds the API token; never the token itself.",
        pattern=r"^[A-Z][A-Z0-9_]*$",
    )
    accept_language: str = Field(
        default="fr-fr", pattern=r"^[a-z]{2}-[a-z]{2}$", description="Country code sent with each request."
    )
    user_agent: str = Field(
        default="BM-OrdersSync-Orders;orders-sync@example.com",
        pattern=r"^BM-[^-;]+-[^;]+;[^@\s]+@[^@\s]+$",
        description="Mandatory at Back Market: BM-{Company}-{Integration};contact@mail",
    )
    accept_orderlines: bool = Field(
        default=False, description="Accept waiting orderlines at the marketplace once they are stored."
    )
    accept_short_lines: bool = Field(default=True, description="Accept also lines whose stock can't be locked.")
    allow_oversell: bool = Field(default=False, description="Lock stock even below zero.")
    page_size: int = Field(default=50, ge=1, le=50, description="Orders asked for with one call.")
    days_back: int = Field(default=2, ge=1, le=90, description="How far `incomplete` looks back, in days.")
    months_back: int = Field(default=3, ge=1, le=24, description="How far `modified` looks back, in months.")
    overlap_minutes: int = Field(
        default=60,
        ge=1,
        le=10080,
        description="How far a pass starts before the watermark, for late arrivals.",
    )
    lag_seconds: int = Field(
        default=120,
        ge=0,
        le=3600,
        description="How late the marketplace shows a change: windows end that early.",
    )
    owners: list[str] = Field(default_factory=lambda: ["team:orders"], description="Shown in the Dagster UI.")
    limits: Limits = Field(default_factory=Limits, description="How hard the marketplace may be asked.")

    @field_validator("base_url")
    @classmethod
    def _plain_http_on_loopback_only(cls, value: str | None) -> str | None:
        if value is None or value.startswith("https://"):
            return value
        if value.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]")):
            return value
        raise ValueError("must start with https:// (http:// is allowed on loopback only)")


class Account(BaseModel):
    """A usable account: its name (that of its folder) and its settings."""

    name: str
    file: str
    settings: AccountSettings

    def credential(self) -> str:
        """The API token, from the environment, at the moment it is needed.

        Raises AccountProblem with the variable's name when it is not set.
        """
        value = os.environ.get(self.settings.token) or SANDBOX_CREDENTIALS.get(self.settings.token)
        if not value:
            raise AccountProblem(
                f"{self.file}: token: the environment variable {self.settings.token} is not set; "
                f"set it to the API token of account {self.name}."
            )
        return value


#: The sandbox asks for a token as the real one does; this one is no secret and opens nothing else.
SANDBOX_CREDENTIALS = {"BACK_MARKET_SANDBOX_TOKEN": "sandbox-token"}


def check_account(name: str, attributes: Any, file: str) -> Account:
    """The account of one file's `attributes`. Raises AccountProblem with file, key, reason and what is allowed."""
    try:
        settings = AccountSettings.model_validate(attributes or {})
    except ValidationError as error:
        raise AccountProblem("\n".join(_told(file, problem) for problem in error.errors())) from None
    return Account(name=name, file=file, settings=settings)


def _told(file: str, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    field = AccountSettings.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(AccountSettings.model_fields)
        return f"{file}: {key}: no such setting; allowed are {allowed}"
    if problem["type"] == "missing":
        return f"{file}: {key}: is missing. {field.description if field else ''}"
    meaning = f" {field.description}" if field else ""
    return f"{file}: {key}: {problem['msg']}.{meaning}"


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
