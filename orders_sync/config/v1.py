"""Where V1 is, how its commands run, and when V2 is ready: defs/cutover/v1.yaml."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from orders_sync.config.account_files import account_entries
from orders_sync.config.bounds import CALLS_PER_DAY, IN_FLIGHT_HOURS, IN_FLIGHT_MINUTES, QUESTIONS, READINESS_DAYS
from orders_sync.config.environment import accounts_folder, v1_file
from orders_sync.config.field_types import ENVIRONMENT_NAME, TimeZone, checked_cron
from orders_sync.config.yaml_files import ConfigError, is_there, read_yaml, shown_name, validate
from orders_sync.model.errors import UserFacingError
from orders_sync.model.statuses import Status

COMMANDS = {"refresh_latest": "refresh:latest", "refresh_new": "refresh:new", "refresh_orders": "refresh:orders"}
"""V1's commands, by the names of the jobs that run them."""

VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""The name of any environment variable; those that hold our credentials have capital letters only."""
_ALWAYS_PASSED = frozenset(["PATH", "HOME", "LANG", "TZ"])
"""What V1's command gets of our environment, besides LC_*. The credentials of accounts are in the rest."""

RENAMED_KEYS = {"readiness.calls_a_day": "readiness.calls_per_day"}
"""Keys that were renamed in 0.2: the old name, which is accepted until 0.3, and the present one."""

_NAME_IT = "Where there is one, name its marketplaces and their accounts there: see docs/cutover.md."


class CutoverError(UserFacingError):
    """A person must correct something about V1 or about the cutover; the text says what and where."""


class CutoverConfigError(CutoverError, ConfigError):
    """The settings of V1 can't be used: which file, which key, what is wrong, what is allowed."""


class NoV1Error(CutoverConfigError):
    """No V1 is configured: there is no file of its settings, or it names no account of the project."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OrdersTable(_Settings):
    """V1's orders."""

    table: str = Field(default="orders", description="Name of the table.")
    id: str = Field(default="id", description="Column of V1's own id.")
    order_id: str = Field(default="marketplace_order_id", description="Column of the marketplace's order id.")
    marketplace: str = Field(default="marketplace", description="Column of V1's name of the marketplace.")
    status: str = Field(default="status", description="Column of the order's status, a number.")
    currency: str | None = Field(default="currency", description="Column of the ISO 4217 currency code.")
    total: str | None = Field(default="total", description="Column of the total in that currency.")
    ordered_at: str = Field(default="ordered_at", description="Column of the time when the buyer ordered.")
    seen_at: str = Field(default="created_at", description="Column of the time when V1 stored the order.")
    updated_at: str = Field(default="updated_at", description="Column of the time of V1's last change.")
    delivery_note_url: str | None = Field(default="delivery_note_url", description="Column of the delivery note's URL.")
    label_url: str | None = Field(default="label_url", description="Column of the shipping label's URL.")


class ItemsTable(_Settings):
    """V1's order items."""

    table: str = Field(default="order_items", description="Name of the table.")
    id: str = Field(default="id", description="Column of V1's own id.")
    order: str = Field(default="order_id", description="Column that refers to the id of V1's orders.")
    item_id: str = Field(default="orderline_id", description="Column of the marketplace's id of the orderline.")
    sku: str = Field(default="sku", description="Column of the SKU.")
    quantity: str = Field(default="quantity", description="Column of the quantity, in pieces.")
    price: str | None = Field(default="price", description="Column of the price for the whole quantity.")
    status: str | None = Field(default="status", description="Column of the item's status, a number.")
    care_id: str | None = Field(default="care_id", description="Column of the id of the latest care record.")


class LocksTable(_Settings):
    """V1's stock locks."""

    table: str = Field(default="stock_locks", description="Name of the table.")
    item: str = Field(default="order_item_id", description="Column that refers to the id of V1's items.")
    quantity: str = Field(default="quantity", description="Column of the locked quantity, in pieces.")
    released_at: str | None = Field(default="released_at", description="Column of the time of the release.")
    consumed_at: str | None = Field(default="consumed_at", description="Column of the time when the pieces had left.")


class Tables(_Settings):
    """V1's tables and columns. A column that V1 does not have is null."""

    orders: OrdersTable = Field(default_factory=OrdersTable, description="V1's orders.")
    items: ItemsTable = Field(default_factory=ItemsTable, description="V1's order items.")
    locks: LocksTable | None = Field(
        default_factory=LocksTable, description="V1's stock locks; null when V1 locks no stock."
    )


class Run(_Settings):
    """How the jobs refresh_* run V1's commands."""

    kind: Literal["stand_in", "command", "url"] = Field(
        default="stand_in", description="The demonstration's stand-in, a command, or a POST to a URL."
    )
    command: str | None = Field(
        default=None,
        description="The program and its arguments, in quotes where one has spaces; {command} is V1's command. No "
        "shell reads it: who needs one writes sh -c '…'.",
    )
    environment: list[Annotated[str, Field(pattern=VARIABLE)]] = Field(
        default_factory=list[str],
        description="NAMES of further environment variables that the command gets. By default it gets PATH, HOME, "
        "LANG, LC_* and TZ alone.",
    )
    url: str | None = Field(default=None, description="The http or https URL; {command} is V1's command.")

    @field_validator("command")
    @classmethod
    def _is_a_list_of_arguments(cls, value: str | None) -> str | None:
        try:
            if value is not None and not shlex.split(value):
                raise ValueError("names no program")
        except ValueError as problem:
            raise ValueError(
                f"{problem}; allowed is a program with its arguments, e.g. php artisan {{command}}"
            ) from None
        return value

    @field_validator("url")
    @classmethod
    def _is_a_web_address(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/?#\s]", value, re.IGNORECASE):
            raise ValueError("must start with http:// or https:// and name a host")
        return value

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> "Run":
        if self.kind != "stand_in" and not getattr(self, self.kind):
            raise ValueError(f"kind {self.kind} needs run.{self.kind}")
        return self

    def arguments(self, command: str) -> list[str]:
        """The command line of one of V1's commands, which stands in one argument whatever it holds."""
        return [part.replace("{command}", command) for part in shlex.split(self.command or "")]

    def variables(self, ours: Mapping[str, str]) -> dict[str, str]:
        """The environment of the command: of `ours`, what every program needs and what the settings name."""
        return {
            name: value
            for name, value in ours.items()
            if name in _ALWAYS_PASSED or name.startswith("LC_") or name in self.environment
        }


class Readiness(_Settings):
    """When V1 may be switched off."""

    days: int = Field(
        default=7,
        **READINESS_DAYS.of_field(),
        description="Consecutive good days, the last of them yesterday, that the phase `monitor` lasts at least.",
    )
    agreement: float = Field(
        default=99.95,
        gt=0,
        le=100,
        description="Per cent of the orders of each comparison on which both agree, or V2 is "
        "right as the marketplace says.",
    )
    in_flight_minutes: int = Field(
        default=30,
        **IN_FLIGHT_MINUTES.of_field(),
        description="How long V1 takes to see a change, at most: what V2 has since then does not count yet.",
    )
    deadline_hours: int = Field(
        default=6,
        **IN_FLIGHT_HOURS.of_field(),
        description="After so many hours a difference counts, whatever either side has done since.",
    )
    modified_deadline_hours: int = Field(
        default=26,
        **IN_FLIGHT_HOURS.of_field(),
        description="The same of what only the nightly `modified` sees: changes, and orders that V2 lacks.",
    )
    parallel_days: int = Field(
        default=1, **READINESS_DAYS.of_field(), description="How long the phase `parallel` lasts at least."
    )
    marketplace_questions: int = Field(
        default=100,
        **QUESTIONS.of_field(),
        description="For how many differing orders of a comparison the marketplace is asked who is right.",
    )
    calls_per_day: int = Field(
        default=20_000,
        **CALLS_PER_DAY.of_field(),
        description="V2's budget of API calls per day for each account.",
    )


class CutoverSettings(_Settings):
    """The settings of defs/cutover/v1.yaml."""

    database: str = Field(
        default="V1_DATABASE_URL",
        pattern=ENVIRONMENT_NAME,
        examples=["V1_DATABASE_URL"],
        description="NAME of the environment variable that holds the URL of V1's database; never the URL itself.",
    )
    timezone: TimeZone = Field(default="UTC", description="IANA name of the time zone of V1's times.")
    marketplaces: dict[str, str] = Field(
        default_factory=dict,
        description="The account of each of V1's marketplaces, by V1's name of the marketplace. There is no V1 while "
        "this names no account of the project.",
    )
    tables: Tables = Field(default_factory=Tables, description="V1's tables and columns.")
    order_statuses: dict[int, list[Status]] = Field(
        default_factory=dict[int, list[Status]],
        description="The statuses that each number of an order's status in V1 may mean.",
    )
    item_statuses: dict[int, list[Status]] = Field(
        default_factory=dict[int, list[Status]],
        description="The statuses that each number of an item's status in V1 may mean.",
    )
    run: Run = Field(default_factory=Run, description="How the jobs refresh_* run V1's commands.")
    schedules: dict[str, str] = Field(
        default_factory=dict,
        description="The cron expressions of the jobs refresh_* that differ from their defaults, by job.",
    )
    readiness: Readiness = Field(default_factory=Readiness, description="When V1 may be switched off.")
    _file: str = PrivateAttr(default_factory=lambda: str(v1_file()))

    @field_validator("schedules")
    @classmethod
    def _are_crons(cls, value: dict[str, str]) -> dict[str, str]:
        for name, cron in value.items():
            if name not in COMMANDS:
                raise ValueError(f"{name!r} is no command of V1; allowed are {', '.join(COMMANDS)}")
            try:
                checked_cron(cron)
            except ValueError as problem:
                raise ValueError(f"{name}: {problem}") from None
        return value

    @property
    def file(self) -> str:
        """The file that was read, for messages."""
        return self._file

    def read_from(self, file: str) -> Self:
        """These settings, as those of a file."""
        settings = self.model_copy()
        settings._file = file
        return settings

    @property
    def is_stand_in(self) -> bool:
        """Whether V1 is the demonstration's stand-in, in the embedded database."""
        return not os.environ.get(self.database)


def load_cutover_settings(file: Path | None = None) -> CutoverSettings:
    """The settings of a file, by default the project's. Raises NoV1Error if no V1 is configured; CutoverConfigError."""
    path = file or v1_file()
    if not is_there(path, CutoverConfigError):
        raise NoV1Error(f"No V1 is configured: there is no {shown_name(str(path))}. {_NAME_IT}")
    settings = check_cutover_settings(read_yaml(path, CutoverConfigError), str(path))
    if not {entry.name for entry in account_entries(accounts_folder())}.intersection(settings.marketplaces.values()):
        raise NoV1Error(
            f"No V1 is configured: {shown_name(str(path))} names no account of this project under `marketplaces`. "
            f"{_NAME_IT}"
        )
    return settings


def has_v1() -> bool:
    """Whether a V1 is configured. A file that can't be used may be that of a V1."""
    try:
        load_cutover_settings()
    except NoV1Error:
        return False
    except CutoverConfigError:
        return True
    return True


def check_cutover_settings(document: Any, file: str) -> CutoverSettings:
    """The settings of a document. Raises CutoverConfigError; a key under its old name is reported by a warning."""
    return validate(document, CutoverSettings, file, CutoverConfigError, renamed=RENAMED_KEYS).read_from(file)
