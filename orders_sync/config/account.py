"""A seller account: the settings that every marketplace shares, and the account's credentials.

Each adapter adds its own settings to these.
"""

import os
import re
from dataclasses import dataclass
from typing import ClassVar, Generic, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import TypeVar

from orders_sync.config.acceptance import RefuseAfter, WhenShort
from orders_sync.config.bounds import (
    ANSWER_MEGABYTES,
    CONNECTIONS,
    DAYS_BACK,
    LAG_SECONDS,
    MONTHS_BACK,
    OUTAGE_MINUTES,
    OVERLAP_MINUTES,
    PAGE_SIZE,
    RETENTION_DAYS,
)
from orders_sync.config.field_types import ENVIRONMENT_NAME, Duration
from orders_sync.config.sync_crons import OwnCrons
from orders_sync.config.yaml_files import ConfigError
from orders_sync.model.known_credentials import note_credential
from orders_sync.model.lane import SyncType

HOST = r"(\*(\.[A-Za-z0-9-]+){2,}|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*)(:[0-9]{1,5})?"
"""A host of `document_hosts`, with the port where it is not that of https."""


OWNER = r"team:\S+|[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
"""An owner of assets, as Dagster has it: a team, or a mail address."""


class AccountConfigError(ConfigError):
    """An account can't be used as configured: which file, which key, what is wrong, what is allowed."""


class MissingCredentialError(AccountConfigError):
    """The environment variable of a credential is not set."""


class RateLimitSettings(BaseModel):
    """How fast requests may be sent to the marketplace."""

    model_config = ConfigDict(extra="forbid")

    enforced: bool = Field(default=True, description="Obey the marketplace's published rate limits.")
    share: float = Field(
        default=0.95, gt=0, le=1, description="The share of the published rate that the syncs may use."
    )
    connections: int = Field(default=8, **CONNECTIONS.of_field(), description="Maximum number of concurrent requests.")
    outage_minutes: int = Field(
        default=20,
        **OUTAGE_MINUTES.of_field(),
        description="How many minutes a pass waits for a marketplace that answers 429, 502, 503 or 504; also the "
        "longest Retry-After that it waits for, at least 1 minute. After that the pass fails.",
    )
    answer_megabytes: int = Field(
        default=20,
        **ANSWER_MEGABYTES.of_field(),
        description="The largest answer that is read, in MB. A larger page is read in smaller ones, where the contract "
        "has a page size; a record that is larger alone is put off.",
    )


class SyncSwitches(BaseModel):
    """Which syncs of an account run."""

    model_config = ConfigDict(extra="forbid")

    new: bool = Field(default=True, description="New orders, and the acceptance of their lines.")
    modified: bool = Field(default=True, description="Orders modified in the last three months.")
    care: bool = Field(default=True, description="Care records.")
    incomplete: bool = Field(default=True, description="Missing delivery notes and labels.")


class AccountSettings(BaseModel):
    """The settings of every account, whatever its marketplace."""

    model_config = ConfigDict(extra="forbid")

    CREDENTIALS: ClassVar[tuple[str, ...]] = ()
    """The settings that name environment variables with credentials."""

    marketplace: str = Field(description="Name of the adapter for the marketplace's API.")
    base_url: str | None = Field(
        default=None,
        description="The API's URL, instead of the marketplace's own; for the sandbox http://127.0.0.1:8765",
    )
    syncs: SyncSwitches = Field(
        default_factory=SyncSwitches,
        description="Which syncs run; e.g. `care: off` switches one off. A person can still run it by hand.",
    )
    schedules: OwnCrons = Field(
        default_factory=OwnCrons,
        description='Cron expressions of this account\'s own, e.g. `new: "0 * * * *"`, in the time zone of '
        "defs/sync/defs.yaml; a sync that is not named ticks with those of all accounts.",
    )
    accept_orderlines: bool = Field(
        default=False, description="Accept waiting orderlines at the marketplace when they are stored."
    )
    when_short: WhenShort | None = Field(
        default=None,
        description="What becomes of waiting orderlines whose stock can't be locked: `wait` for stock, `accept` them "
        "all the same, or `refuse_after: 20h`, which refuses them at the marketplace if they still wait so long after "
        "the payment. Not set: `wait` where a stock list was imported, else `accept`.",
    )
    acceptance_deadline: Duration | None = Field(
        default=None,
        description="How long the marketplace lets an orderline wait for the merchant, e.g. 24h: a check warns before "
        "it runs out. Not set: no warning, since no marketplace publishes one for all its sellers.",
    )
    pass_before_deadline: bool = Field(
        default=False,
        description="Request a further pass of `new` between its ticks, for waiting orderlines that could be answered "
        "and whose deadline runs out before the next tick.",
    )
    allow_oversell: bool = Field(default=False, description="Lock stock even when fewer pieces are available.")
    hold_after_label: bool = Field(
        default=True,
        description="Hold the pieces of an item that is cancelled once it has a label, until the marketplace or a "
        "person says whether they have left. `false`: release them at once.",
    )
    restock_returns: bool = Field(
        default=False,
        description="Book the pieces of a return as on hand when it is closed and the marketplace says that they were "
        "received.",
    )
    require_device_numbers: bool = Field(
        default=False,
        description="Goods must ship with an IMEI or a serial number: a check warns of those that did not. For "
        "accounts whose marketplace fines it.",
    )
    page_size: int = Field(default=50, **PAGE_SIZE.of_field(), description="Orders per page, that is per API call.")
    days_back: int = Field(default=2, **DAYS_BACK.of_field(), description="How far `incomplete` looks back, in days.")
    months_back: int = Field(
        default=3, **MONTHS_BACK.of_field(), description="How far `modified` looks back, in months."
    )
    overlap_minutes: int = Field(
        default=60,
        **OVERLAP_MINUTES.of_field(),
        description="How many minutes before the watermark a pass starts, to find late arrivals.",
    )
    lag_seconds: int = Field(
        default=120,
        **LAG_SECONDS.of_field(),
        description="How many seconds late the marketplace may show a change; the window of a pass ends that early.",
    )
    retention_days: int | None = Field(
        default=None,
        **RETENTION_DAYS.of_field(),
        description="Blank the buyer's data of orders that are older than this many days; never when not set.",
    )
    share_buyer_data: bool = Field(
        default=False,
        description="Let the subscriptions that ask for buyers' data have those of this account's orders.",
    )
    store_documents: bool = Field(
        default=False,
        description="Fetch each delivery note and label once, and keep its content in the orders database: PDF, PNG or "
        "ZPL, at most 10 MB.",
    )
    document_hosts: list[str] = Field(
        default_factory=list[str],
        description="Further hosts from which documents may be fetched, without the credential: labels.example.com, or "
        "*.example.com for all hosts below it. The marketplace's own host needs no entry.",
    )
    owners: list[str] = Field(
        default_factory=lambda: ["team:orders"],
        description="Owners of the account's assets in the Dagster UI, e.g. team:orders.",
    )
    limits: RateLimitSettings = Field(
        default_factory=RateLimitSettings, description="How fast requests may be sent to the marketplace."
    )

    @field_validator("base_url")
    @classmethod
    def _plain_http_on_loopback_only(cls, value: str | None) -> str | None:
        if value is not None and "@" in value.split("://", 1)[-1].split("/", 1)[0]:
            raise ValueError("must name no user and no password: credentials are read from the environment")
        if value is None or value.startswith("https://"):
            return value
        if re.match(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/|$)", value):
            return value
        raise ValueError("must start with https:// (http:// is allowed on loopback only)")

    @field_validator("owners")
    @classmethod
    def _owners_as_dagster_has_them(cls, value: list[str]) -> list[str]:
        for owner in value:
            if not re.fullmatch(OWNER, owner):
                raise ValueError(f"{owner!r} is no owner; write it like team:orders or orders@example.com")
        return value

    @field_validator("document_hosts")
    @classmethod
    def _hosts_without_scheme_and_path(cls, value: list[str]) -> list[str]:
        for host in value:
            if not re.fullmatch(HOST, host):
                raise ValueError(f"{host!r} is no host; write it like labels.example.com or *.example.com")
        return [host.lower() for host in value]

    @model_validator(mode="after")
    def _refused_before_the_deadline(self) -> Self:
        short, deadline = self.when_short, self.acceptance_deadline
        if isinstance(short, RefuseAfter) and deadline is not None and short.refuse_after >= deadline:
            raise ValueError("when_short.refuse_after must be shorter than acceptance_deadline")
        if self.pass_before_deadline and deadline is None:
            raise ValueError("pass_before_deadline needs an acceptance_deadline, e.g. 24h")
        return self


class TokenSettings(AccountSettings):
    """An account whose credential is one token."""

    CREDENTIALS: ClassVar[tuple[str, ...]] = ("token",)

    token: str = Field(
        description="NAME of the environment variable that holds the API token; never the token itself.",
        pattern=ENVIRONMENT_NAME,
        examples=["SHOP_TOKEN"],
    )


Settings = TypeVar("Settings", bound=AccountSettings, covariant=True, default=AccountSettings)


@dataclass(frozen=True)
class SellerAccount(Generic[Settings]):
    """An account that can be used: its settings are valid."""

    name: str
    """The name of the account's folder."""
    file: str
    """The path of the account's file, for error messages."""
    settings: Settings

    def has_on(self, sync_type: SyncType) -> bool:
        """Whether a sync of the account runs by itself."""
        return bool(getattr(self.settings.syncs, sync_type.value))

    def credential(self, key: str = "token") -> str:
        """A credential from the environment, read when it is needed. `key`: the setting that names the variable.

        It is noted as one that no text may show.

        Raises MissingCredentialError with the variable's name when the variable is not set.
        """
        variable = str(getattr(self.settings, key))
        value = os.environ.get(variable)
        if not value:
            raise MissingCredentialError(
                f"{self.file}: {key}: the environment variable {variable} is not set; "
                f"set it to the {key.replace('_', ' ')} of account {self.name}."
            )
        note_credential(value)
        return value
