"""Where V1 is, how it is run, and when V2 is ready: defs/cutover/v1.yaml."""

import os
from pathlib import Path
from typing import Any, Literal, cast
from zoneinfo import available_timezones

import yaml
from croniter import croniter
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from orders_sync.config.account import ENVIRONMENT_NAME
from orders_sync.model.errors import UserFacingError
from orders_sync.model.statuses import Status

V1_FILE = Path(__file__).resolve().parent.parent / "defs" / "cutover" / "v1.yaml"
COMMANDS = {"refresh_latest": "refresh:latest", "refresh_new": "refresh:new", "refresh_orders": "refresh:orders"}
"""V1's commands, by the names of their jobs here."""


class CutoverError(UserFacingError):
    """Something about V1, or about the migration, that a person must mend; the text says what and where."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OrdersTable(_Settings):
    """V1's orders."""

    table: str = "orders"
    id: str = "id"
    order_id: str = "marketplace_order_id"
    marketplace: str = "marketplace"
    status: str = "status"
    currency: str | None = "currency"
    total: str | None = "total"
    ordered_at: str = "ordered_at"
    seen_at: str = "created_at"
    updated_at: str = "updated_at"
    delivery_note_url: str | None = "delivery_note_url"
    label_url: str | None = "label_url"


class ItemsTable(_Settings):
    """V1's order items; `order` refers to the id of V1's orders."""

    table: str = "order_items"
    id: str = "id"
    order: str = "order_id"
    item_id: str = "orderline_id"
    sku: str = "sku"
    quantity: str = "quantity"
    price: str | None = "price"
    status: str | None = "status"
    care_id: str | None = "care_id"


class LocksTable(_Settings):
    """V1's stock locks; `item` refers to the id of V1's items."""

    table: str = "stock_locks"
    item: str = "order_item_id"
    quantity: str = "quantity"
    released_at: str | None = "released_at"
    consumed_at: str | None = "consumed_at"


class Tables(_Settings):
    orders: OrdersTable = Field(default_factory=OrdersTable)
    items: ItemsTable = Field(default_factory=ItemsTable)
    locks: LocksTable | None = Field(default_factory=LocksTable)


class Run(_Settings):
    """How V1's commands are run by the jobs refresh_*."""

    kind: Literal["stand_in", "command", "url"] = "stand_in"
    command: str | None = None
    url: str | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> "Run":
        if self.kind != "stand_in" and not getattr(self, self.kind):
            raise ValueError(f"kind {self.kind} needs run.{self.kind}")
        return self


class Readiness(_Settings):
    """When V1 may be switched off."""

    days: int = Field(default=7, ge=1, le=60)
    agreement: float = Field(default=99.95, gt=0, le=100)
    in_flight_minutes: int = Field(default=30, ge=1, le=1440)
    calls_a_day: int = Field(default=20_000, ge=1)


class CutoverSettings(_Settings):
    """The settings of defs/cutover/v1.yaml."""

    database: str = Field(default="V1_DATABASE_URL", pattern=ENVIRONMENT_NAME)
    timezone: str = "UTC"
    marketplaces: dict[str, str] = {}
    tables: Tables = Field(default_factory=Tables)
    order_statuses: dict[int, list[Status]] = {}
    item_statuses: dict[int, list[Status]] = {}
    run: Run = Field(default_factory=Run)
    schedules: dict[str, str] = {}
    readiness: Readiness = Field(default_factory=Readiness)

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no time zone; allowed are IANA names, e.g. UTC or Europe/Berlin")
        return value

    @field_validator("schedules")
    @classmethod
    def _are_crons(cls, value: dict[str, str]) -> dict[str, str]:
        for name, cron in value.items():
            if name not in COMMANDS:
                raise ValueError(f"{name!r} is no command of V1; allowed are {', '.join(COMMANDS)}")
            if len(cron.split()) != 5 or not croniter.is_valid(cron):
                raise ValueError(f"{name}: {cron!r} is no cron expression; allowed are five fields")
        return value

    @property
    def is_stand_in(self) -> bool:
        """Whether V1 is the demonstration's, in the embedded database."""
        return not os.environ.get(self.database)


def load_cutover_settings(path: Path = V1_FILE) -> CutoverSettings:
    """The settings of the file. Raises CutoverError with file, key, reason and what is allowed."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise CutoverError(f"{path}: is not readable YAML: {error}") from None
    return check_cutover_settings(document, str(path))


def check_cutover_settings(document: Any, file: str) -> CutoverSettings:
    """The settings of a document. Raises CutoverError with file, key and reason."""
    try:
        return CutoverSettings.model_validate(cast(dict[str, Any], document) or {})
    except ValidationError as error:
        lines = [
            f"{file}: {'.'.join(str(part) for part in problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise CutoverError("\n".join(lines)) from None
