"""Who gets order events: defs/subscriptions/<name>/defs.yaml, read in one way by Dagster's component and by the CLI."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from orders_sync.config.environment import defs_folder
from orders_sync.config.field_types import ENVIRONMENT_NAME, Duration
from orders_sync.config.yaml_files import (
    ConfigError,
    did_you_mean,
    read_component,
    refuse_templates,
    shown_name,
    validate,
)
from orders_sync.model.event_kinds import DEFAULT_KINDS, KINDS
from orders_sync.model.statuses import Status

COMPONENT_TYPE = "orders_sync.components.subscription.Subscription"
FILE_NAME = "defs.yaml"
STOCK = "stock"
"""The subscription that is always there: the stock job."""
ALERT_AFTER = timedelta(minutes=30)
"""After how long a waiting event is reported, where the file says nothing else."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_CONSUMER = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
_ROLE = r"^[^\x00-\x1f\x7f\"]{1,63}$"


class SubscriptionConfigError(ConfigError):
    """A subscription can't be used as configured: which file, which key, what is wrong, what is allowed."""


class DagsterConsumer(BaseModel):
    """A Python function that a Dagster job calls with events."""

    model_config = ConfigDict(extra="forbid")

    function: str = Field(
        pattern=_CONSUMER,
        examples=["consumer:deliver", "my_package.erp:deliver"],
        description="The function, as module:name; a module beside the file is found first. It gets one event, or with "
        "`@order_event_consumer(batch=True)` a list of them.",
    )
    lease: Duration = Field(
        default=timedelta(minutes=10),
        description="How long the function may take for an event, or for a batch: after that, others may get it, too.",
    )
    batch: int = Field(default=100, ge=1, le=10_000, description="How many events are claimed at once at most.")


class Webhook(BaseModel):
    """A receiver of HTTP calls by the Standard Webhooks specification."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        pattern=ENVIRONMENT_NAME,
        examples=["ERP_WEBHOOK_URL"],
        description="NAME of the environment variable with the receiver's URL; never the URL itself.",
    )
    secret: str = Field(
        pattern=ENVIRONMENT_NAME,
        examples=["ERP_WEBHOOK_SECRET"],
        description="NAME of the environment variable with the secret that signs: whsec_ and Base64 of 24 to 64 bytes. "
        "`orders-sync subscriptions secret` makes one.",
    )
    former_secret: str | None = Field(
        default=None,
        pattern=ENVIRONMENT_NAME,
        examples=["ERP_WEBHOOK_FORMER_SECRET"],
        description="NAME of the variable with the secret before, while it is replaced: each call has the signatures "
        "of both.",
    )
    concurrency: int = Field(default=4, ge=1, le=32, description="How many calls are made at once.")
    timeout_seconds: float = Field(default=15, ge=1, le=30, description="How long an answer is waited for.")
    allow_private: bool = Field(
        default=False,
        description="Whether the receiver may have a private address, or be on this machine, and be called by http.",
    )


class SqlConsumer(BaseModel):
    """A consumer that claims events by SQL."""

    model_config = ConfigDict(extra="forbid")

    role: str = Field(
        pattern=_ROLE,
        examples=["erp"],
        description="The role of PostgreSQL that may claim them, or that those who may are members of.",
    )


class SubscriptionSettings(BaseModel):
    """The settings of one subscription. Exactly one of `dagster`, `webhook` and `sql` says who consumes the events."""

    model_config = ConfigDict(extra="forbid")

    kinds: list[str] = Field(
        default_factory=lambda: list(DEFAULT_KINDS),
        min_length=1,
        description=f"The kinds of events: {', '.join(KINDS)}.",
    )
    accounts: list[str] | None = Field(
        default=None, min_length=1, description="The accounts whose events it gets; all when not set."
    )
    statuses: list[Status] | None = Field(
        default=None,
        min_length=1,
        description="It gets the events that lead to one of these statuses; all when not set.",
    )
    buyer_data: bool = Field(
        default=False,
        description="Whether it gets the buyers' data (addresses, e-mail, URLs of documents, tracking) of the accounts "
        "that share them (`share_buyer_data`). Events with such data reach a webhook by https only, unless it is on "
        "this machine.",
    )
    start: Literal["now", "beginning"] = Field(
        default="now",
        description="What a new subscription gets: the events from `now` on, or also those stored before, from the "
        "`beginning`.",
    )
    alert_after: Duration = Field(
        default=ALERT_AFTER,
        description="After how long a waiting event is reported, e.g. 30m.",
    )
    dagster: DagsterConsumer | None = Field(default=None, description="A Python function that a Dagster job calls.")
    webhook: Webhook | None = Field(default=None, description="A receiver of HTTP calls.")
    sql: SqlConsumer | None = Field(default=None, description="A consumer that claims events by SQL.")

    @field_validator("kinds")
    @classmethod
    def _known_kinds(cls, value: list[str]) -> list[str]:
        for kind in value:
            if kind not in KINDS:
                raise ValueError(
                    f"there is no kind {kind!r}{did_you_mean(kind, KINDS)}; allowed are {', '.join(KINDS)}"
                )
        return list(dict.fromkeys(value))

    @model_validator(mode="after")
    def _one_consumer(self) -> "SubscriptionSettings":
        named = [name for name in ("dagster", "webhook", "sql") if getattr(self, name) is not None]
        if len(named) != 1:
            found = " and ".join(named) or "none of them"
            raise ValueError(f"exactly one of dagster, webhook and sql says who consumes the events; found is {found}")
        return self

    @property
    def consumer_kind(self) -> Literal["dagster", "webhook", "sql"]:
        """Which of the three consumes the events."""
        return "dagster" if self.dagster is not None else "webhook" if self.webhook is not None else "sql"

    @property
    def consumer(self) -> str:
        """Who consumes the events, in a few words."""
        if self.dagster is not None:
            return f"function {self.dagster.function}"
        if self.webhook is not None:
            return f"webhook {self.webhook.url}"
        return f"SQL, role {self.sql.role}" if self.sql is not None else ""


def subscriptions_folder() -> Path:
    """The project's folder of subscriptions; it may be missing."""
    return defs_folder() / "subscriptions"


def load_subscriptions() -> tuple[dict[str, SubscriptionSettings], dict[str, SubscriptionConfigError]]:
    """All subscriptions of the project by name, and the errors of those that can't be used.

    One file's mistake does not affect the others.
    """
    usable: dict[str, SubscriptionSettings] = {}
    problems: dict[str, SubscriptionConfigError] = {}
    for entry in _entries(subscriptions_folder()):
        try:
            usable[entry.name] = _read(entry)
        except SubscriptionConfigError as problem:
            problems[shown_name(entry.name)] = problem
    return usable, problems


def check_subscription(attributes: Any, file: str) -> SubscriptionSettings:
    """The settings of one file's `attributes`. Raises SubscriptionConfigError."""
    refuse_templates(attributes, file, SubscriptionConfigError)
    return validate(attributes, SubscriptionSettings, file, SubscriptionConfigError)


def _entries(folder: Path) -> Iterator[Path]:
    """What the folder has in it. Whatever begins with a dot or an underscore is something else."""
    for path in sorted(folder.glob("[!._]*")):
        if path.is_dir() or path.suffix in (".yaml", ".yml"):
            yield path


def _read(entry: Path) -> SubscriptionSettings:
    shown, file = shown_name(str(entry)), entry / FILE_NAME
    if not entry.is_dir():
        raise SubscriptionConfigError(f"{shown}: is not read: a subscription is a folder with a {FILE_NAME}.")
    if not _NAME.fullmatch(entry.name) or entry.name == STOCK:
        raise SubscriptionConfigError(
            f"{shown}: the name of the folder is that of the subscription; allowed are up to 50 small letters, digits "
            f"and underscores, with a letter first, and not {STOCK}, which is there always. Rename it."
        )
    return check_subscription(read_component(file, COMPONENT_TYPE, SubscriptionConfigError), str(file))
