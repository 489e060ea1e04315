"""What an account is: its settings, whatever its marketplace, and its credential. Adapters add their own settings."""

import os
import re
from dataclasses import dataclass
from typing import ClassVar, Generic

from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypeVar

from orders_sync.model.errors import UserFacingError

ENVIRONMENT_NAME = r"^[A-Z][A-Z0-9_]*$"


class AccountConfigError(UserFacingError):
    """An account can't be used as configured: which file, which key, what is wrong, what is allowed."""


class RateLimitSettings(BaseModel):
    """How hard the marketplace may be asked."""

    model_config = ConfigDict(extra="forbid")

    enforced: bool = Field(default=True, description="Keep to the marketplace's published rate limits.")
    share: float = Field(
        default=0.95, gt=0, le=1, description="The share of the published rate that the syncs may use."
    )
    connections: int = Field(default=8, ge=1, le=64, description="Requests under way at once.")


class AccountSettings(BaseModel):
    """What every account has, whatever its marketplace; each adapter adds its own settings to these."""

    model_config = ConfigDict(extra="forbid")

    #: The settings that name environment variables with credentials.
    CREDENTIALS: ClassVar[tuple[str, ...]] = ()

    marketplace: str = Field(description="The adapter that speaks the marketplace's API.")
    base_url: str | None = Field(
        default=None,
        description="The API's address; overrides the marketplace's own, e.g. for the sandbox: http://127.0.0.1:8765",
    )
    accept_orderlines: bool = Field(
        default=False, description="Accept waiting orderlines at the marketplace once they are stored."
    )
    accept_short_lines: bool = Field(default=True, description="Accept also lines whose stock can't be locked.")
    allow_oversell: bool = Field(default=False, description="Lock stock even below zero.")
    page_size: int = Field(default=50, ge=1, le=100, description="Orders asked for with one call.")
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
    retention_days: int | None = Field(
        default=None,
        ge=1,
        description="Blank buyers' data of orders older than so many days; never, where it is not set.",
    )
    owners: list[str] = Field(default_factory=lambda: ["team:orders"], description="Shown in the Dagster UI.")
    limits: RateLimitSettings = Field(
        default_factory=RateLimitSettings, description="How hard the marketplace may be asked."
    )

    @field_validator("base_url")
    @classmethod
    def _plain_http_on_loopback_only(cls, value: str | None) -> str | None:
        if value is None or value.startswith("https://"):
            return value
        if re.match(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/|$)", value):
            return value
        raise ValueError("must start with https:// (http:// is allowed on loopback only)")


class TokenSettings(AccountSettings):
    """An account whose credential is one token."""

    CREDENTIALS: ClassVar[tuple[str, ...]] = ("token",)

    token: str = Field(
        description="NAME of the environment variable that holds the API token; never the token itself.",
        pattern=ENVIRONMENT_NAME,
    )


Settings = TypeVar("Settings", bound=AccountSettings, covariant=True, default=AccountSettings)


@dataclass(frozen=True)
class SellerAccount(Generic[Settings]):
    """A usable account: its name (that of its folder) and its settings."""

    name: str
    file: str
    settings: Settings

    def credential(self, key: str = "token") -> str:
        """A credential, from the environment, at the moment it is needed. `key`: the setting that names the variable.

        Raises AccountConfigError with the variable's name when it is not set.
        """
        variable = str(getattr(self.settings, key))
        value = os.environ.get(variable)
        if not value:
            raise AccountConfigError(
                f"{self.file}: {key}: the environment variable {variable} is not set; "
                f"set it to the {key.replace('_', ' ')} of account {self.name}."
            )
        return value
