"""Where V1 is, how its commands run, and when V2 is ready: defs/cutover/v1.yaml."""

import os
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import quote

from pydantic import Field, PrivateAttr, field_validator, model_validator

from orders_sync.config.account_files import account_entries
from orders_sync.config.bounds import CALLS_PER_DAY, IN_FLIGHT_HOURS, IN_FLIGHT_MINUTES, READINESS_DAYS, VERIFIED_ORDERS
from orders_sync.config.environment import accounts_folder, v1_file
from orders_sync.config.field_types import ENVIRONMENT_NAME, TimeZone, checked_cron
from orders_sync.config.v1_presets import PRESETS, overridden, with_preset
from orders_sync.config.v1_tables import TEXT_KEYS, SettingsModel, Tables
from orders_sync.config.yaml_files import ConfigError, closest, did_you_mean, is_there, read_yaml, shown_name, validate
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

_OF_THE_SANDBOX = {"back_market": "back_market_sandbox"}
"""What the file has as it comes. Where the sandbox's account is deleted and this is left as it is, there is no V1."""
_NAME_IT = "Where there is one, name its marketplaces and their accounts there: see docs/cutover.md."


class CutoverError(UserFacingError):
    """A person must correct something about V1 or about the cutover; the text says what and where."""


class CutoverConfigError(CutoverError, ConfigError):
    """The settings of V1 can't be used: which file, which key, what is wrong, what is allowed."""


class NoV1Error(CutoverConfigError):
    """No V1 is configured: there is no file of its settings, or it names no account of the project."""


_MARKETPLACES = "{marketplaces}"


def _filled(text: str, command: str, marketplaces: Sequence[str]) -> str:
    return text.replace("{command}", command).replace(_MARKETPLACES, ",".join(marketplaces))


class Run(SettingsModel):
    """How the jobs refresh_* run V1's commands."""

    kind: Literal["stand_in", "command", "url"] = Field(
        default="stand_in", description="The demonstration's stand-in, a command, or a POST to a URL."
    )
    command: str | None = Field(
        default=None,
        description="The program and its arguments, in quotes where one has spaces; {command} is V1's command, and "
        "{marketplaces} those of V1's marketplaces that V2 has not taken over, with commas. No shell reads it: who "
        "needs one writes sh -c '…'.",
    )
    environment: list[Annotated[str, Field(pattern=VARIABLE)]] = Field(
        default_factory=list[str],
        description="NAMES of further environment variables that the command gets. By default it gets PATH, HOME, "
        "LANG, LC_* and TZ alone.",
    )
    url: str | None = Field(
        default=None, description="The http or https URL, with the same {command} and {marketplaces}."
    )

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

    @property
    def can_leave_out(self) -> bool:
        """Whether V1's commands are told which marketplaces are left to V1."""
        return self.kind == "stand_in" or _MARKETPLACES in f"{self.command if self.kind == 'command' else self.url}"

    def arguments(self, command: str, marketplaces: Sequence[str]) -> list[str]:
        """The command line of one of V1's commands, each part in one argument whatever the values hold."""
        return [_filled(part, command, marketplaces) for part in shlex.split(self.command or "")]

    def address(self, command: str, marketplaces: Sequence[str]) -> str:
        """The URL that runs one of V1's commands."""
        return _filled(self.url or "", command, [quote(each) for each in marketplaces])

    def variables(self, ours: Mapping[str, str]) -> dict[str, str]:
        """The environment of the command: of `ours`, what every program needs and what the settings name."""
        return {
            name: value
            for name, value in ours.items()
            if name in _ALWAYS_PASSED or name.startswith("LC_") or name in self.environment
        }


class Readiness(SettingsModel):
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
    verified_orders: int = Field(
        default=100,
        **VERIFIED_ORDERS.of_field(),
        description="How many differing orders of a comparison are verified against the marketplace.",
    )
    calls_per_day: int = Field(
        default=20_000,
        **CALLS_PER_DAY.of_field(),
        description="V2's budget of API calls per day for each account.",
    )


class CutoverSettings(SettingsModel):
    """The settings of defs/cutover/v1.yaml."""

    database: str = Field(
        default="V1_DATABASE_URL",
        pattern=ENVIRONMENT_NAME,
        examples=["V1_DATABASE_URL"],
        description="NAME of the environment variable that holds the URL of V1's database; never the URL itself.",
    )
    timezone: TimeZone = Field(default="UTC", description="IANA name of the time zone of V1's times.")
    preset: str | None = Field(
        default=None,
        description="A mapping of tables, columns and statuses that is ready to use: laravel_marketplaces. What is "
        "written beside it overrides it.",
    )
    marketplaces: Annotated[dict[str, str], TEXT_KEYS] = Field(
        default_factory=dict,
        description="The account of each of V1's marketplaces, by V1's name or number of the marketplace. Several may "
        "have the same account. There is no V1 while this is empty.",
    )
    tables: Tables = Field(default_factory=Tables, description="V1's tables and columns.")
    accounts_without_v1: list[str] = Field(
        default_factory=list[str],
        description="The accounts of the project that V1 never had: nothing is compared for them.",
    )
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
    _overridden: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _differing_marketplaces_are_mapped(self) -> Self:
        """A name in `by_marketplace` that is nowhere else is a typing error, which would be obeyed in silence."""
        of_preset: dict[str, Any] = PRESETS.get(self.preset or "", {}).get("tables", {})
        for key, rows in (("orders", self.tables.orders), ("items", self.tables.items)):
            theirs = cast(dict[str, Any], of_preset.get(key, {}).get("by_marketplace", {}))
            known = [*self.marketplaces, *theirs]
            for name in rows.by_marketplace:
                if name not in known:
                    raise ValueError(
                        f"tables.{key}.by_marketplace.{name}: marketplaces has no {name}{did_you_mean(name, known)}; "
                        f"it has {', '.join(self.marketplaces) or 'none'}"
                    )
        return self

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
    def overridden(self) -> tuple[str, ...]:
        """The keys at which the file says something else than its preset; empty without a preset."""
        return self._overridden

    def marketplaces_of(self, account: str) -> list[str]:
        """V1's marketplaces that have this account."""
        return [theirs for theirs, ours in self.marketplaces.items() if ours == account]

    def order_statuses_of(self, marketplace: str) -> dict[int, list[Status]]:
        """What the numbers of an order's status mean at one of V1's marketplaces."""
        differing = self.tables.orders.by_marketplace.get(marketplace)
        return self.order_statuses | (differing.statuses if differing is not None else {})

    def item_statuses_of(self, marketplace: str) -> dict[int, list[Status]]:
        """What the numbers of an item's status mean at one of V1's marketplaces."""
        differing = self.tables.items.by_marketplace.get(marketplace)
        return self.item_statuses | (differing.statuses if differing is not None else {})

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
    accounts = {entry.name for entry in account_entries(accounts_folder())}
    named = set(settings.marketplaces.values())
    if not named or (settings.marketplaces == _OF_THE_SANDBOX and not named & accounts):
        raise NoV1Error(
            f"No V1 is configured: {shown_name(str(path))} names no account of this project under `marketplaces`. "
            f"{_NAME_IT}"
        )
    _check_accounts(settings, accounts)
    return settings


def _check_accounts(settings: CutoverSettings, accounts: Collection[str]) -> None:
    """Raises CutoverConfigError with each account under `marketplaces` that the project does not have."""
    problems: list[str] = []
    for marketplace, account in settings.marketplaces.items():
        if account in accounts:
            continue
        meant = closest(account, accounts)
        instead = f"did you mean {meant}?" if meant else f"allowed are {', '.join(sorted(accounts)) or 'none yet'}."
        problems.append(
            f"{shown_name(settings.file)}: marketplaces.{shown_name(marketplace)}: there is no account "
            f"{shown_name(account)}; {instead} Without a V1, write `marketplaces: {{}}`."
        )
    if problems:
        raise CutoverConfigError("\n".join(problems))


def has_v1() -> bool:
    """Whether a V1 is configured. A file that can't be used may be that of a V1: what loads it then says why not."""
    try:
        load_cutover_settings()
    except NoV1Error:
        return False
    except CutoverConfigError:
        return True
    return True


def check_cutover_settings(document: Any, file: str) -> CutoverSettings:
    """The settings of a document. Raises CutoverConfigError; a key under its old name is reported by a warning."""
    given = cast(dict[str, Any], document) if isinstance(document, dict) else {}
    preset = given.get("preset")
    differing: tuple[str, ...] = ()
    if preset is not None:
        if not isinstance(preset, str) or preset not in PRESETS:
            raise CutoverConfigError(
                f"{file}: preset: there is no preset {preset!r}{did_you_mean(preset, PRESETS)}; allowed are "
                f"{', '.join(PRESETS)}"
            )
        differing = tuple(overridden(PRESETS[preset], given))
        document = with_preset(PRESETS[preset], given)
    settings = validate(document, CutoverSettings, file, CutoverConfigError, renamed=RENAMED_KEYS).read_from(file)
    settings._overridden = differing  # pyright: ignore[reportPrivateUsage]
    return settings
