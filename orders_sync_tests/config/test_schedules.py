"""The cron windows: a year of ticks, both nights on which the clock changes, and wrong values."""

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from orders_sync.components.sync_schedules import SyncSchedules
from orders_sync.config import crons
from orders_sync.config.schedules import (
    Crons,
    ScheduleConfigError,
    ScheduleSettings,
    check_schedules,
    load_schedules,
    read_schedules,
)
from orders_sync.config.sync_crons import OwnCrons
from orders_sync.config.v1 import load_cutover_settings
from orders_sync.model.lane import SyncType
from orders_sync.testing.deployment import copy_project, edit_yaml, environment, schedules_of, v1_file_of
from orders_sync.testing.waiting import limit

HOURS = {
    SyncType.NEW: [6, 8, 10, 12, 14, 16, 18, 20, 22],
    SyncType.MODIFIED: [2],
    SyncType.CARE: [4],
    SyncType.INCOMPLETE: [0, 4, 8, 12, 16, 20],
}
BERLIN = ZoneInfo("Europe/Berlin")


def year_of_ticks(sync_type: SyncType, zone: str) -> list[datetime]:
    """The ticks of the default cron in 2026, in that zone."""
    (cron,) = ScheduleSettings().schedules.of(sync_type)
    start, end = (datetime(year, 1, 1, tzinfo=ZoneInfo(zone)) for year in (2026, 2027))
    return ticks_of(cron, start, end)


def ticks_of(cron: str, start: datetime, end: datetime) -> list[datetime]:
    """The ticks of a cron in the zone of `start`, as Dagster computes them: the starts of its time windows.

    In UTC: Python never takes a time that comes twice for equal to one of another zone.
    """
    beyond = end + timedelta(days=40)  # the window of the last tick ends within
    partitions = dg.TimeWindowPartitionsDefinition(
        start=start, end=beyond, cron_schedule=cron, timezone=str(start.tzinfo), fmt="%Y-%m-%dT%H:%M:%S%z"
    )
    ticks: list[datetime] = []
    for key in partitions.get_partition_keys(current_time=beyond):
        tick = partitions.time_window_for_partition_key(key).start.astimezone(UTC)
        if tick >= end:
            break
        ticks.append(tick)
    return ticks


def test_a_file_overrides_only_the_crons_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text(
        'type: orders_sync.components.sync_schedules.SyncSchedules\nattributes: {schedules: {new: "0 6-22 * * *"}}\n'
    )
    assert read_schedules(file).schedules == Crons(new=("0 6-22 * * *",))
    assert read_schedules(file).schedules.modified == (crons.SYNC_MODIFIED,)


def test_the_tests_do_not_depend_on_the_crons_of_the_operator(tmp_path: Path) -> None:
    """A checkout whose operator has changed a cron: a copy of it for tests has the default again."""
    changed = copy_project(tmp_path / "changed")
    edit_yaml(v1_file_of(changed), lambda document: document.update(schedules={"refresh_new": "*/9 * * * *"}))
    edit_yaml(schedules_of(changed), lambda document: document["attributes"].update(schedules={"new": "0 6-22 * * *"}))
    assert read_schedules(schedules_of(changed)).schedules.new == ("0 6-22 * * *",)
    program = "import sys, pathlib\nfrom orders_sync.testing.deployment import copy_project as c\nc(pathlib.Path(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "copy")],
        cwd=changed, env=environment(PYTHONPATH=str(changed)), check=True, timeout=limit(60),
    )  # fmt: skip
    assert read_schedules(schedules_of(tmp_path / "copy")) == ScheduleSettings()
    assert load_cutover_settings(v1_file_of(tmp_path / "copy")).schedules == {}
    assert load_schedules() == ScheduleSettings()


@pytest.mark.parametrize("sync_type", list(SyncType))
def test_a_year_in_utc(sync_type: SyncType) -> None:
    by_day = Counter(tick.date() for tick in year_of_ticks(sync_type, "UTC"))
    assert set(by_day.values()) == {len(HOURS[sync_type])}
    assert len(by_day) == 365
    assert [t.hour for t in year_of_ticks(sync_type, "UTC")[: len(HOURS[sync_type])]] == HOURS[sync_type]


@pytest.mark.parametrize("sync_type", list(SyncType))
def test_a_year_in_berlin(sync_type: SyncType) -> None:
    """Every day has its ticks at the local hours, once each, except in the two nights on which the clock changes."""
    ticks = [tick.astimezone(BERLIN) for tick in year_of_ticks(sync_type, "Europe/Berlin")]
    assert len({tick.timestamp() for tick in ticks}) == len(ticks)
    by_day: dict[str, list[int]] = {}
    for tick in ticks:
        by_day.setdefault(str(tick.date()), []).append(tick.hour)
    unusual = {day: hours for day, hours in by_day.items() if hours != HOURS[sync_type]}
    # 29 March: there is no 2 o'clock, so `modified` runs at 3. 25 October: 2 o'clock comes twice, and counts once.
    assert unusual == ({"2026-03-29": [3]} if sync_type is SyncType.MODIFIED else {})
    assert len(by_day) == 365


def test_in_autumn_the_doubled_hour_ticks_once() -> None:
    ticks = [t for t in year_of_ticks(SyncType.MODIFIED, "Europe/Berlin") if t.date() == datetime(2026, 10, 25).date()]
    assert [tick.astimezone(UTC).hour for tick in ticks] == [1]


def test_our_own_ticks_are_dagsters() -> None:
    """`schedule list` and the scheduler agree."""
    settings = ScheduleSettings()
    for sync_type in SyncType:
        expected = year_of_ticks(sync_type, "UTC")[:50]
        own = settings.ticks(sync_type, datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))
        assert [next(own) for _ in range(50)] == expected
        assert settings.last_tick(sync_type, expected[7] + timedelta(minutes=3)) == expected[7]


CRONS = [
    "0 * * * *", "*/20 * * * *", "0 2 * * *", "30 2 * * *", "15 1-3 * * *", "0 */2 * * *", "30 1,2 * * *", "0 3 * * 0", "59 23 * * *",
    "0 0 1 * *", "*/15 2 * * 7", "0 6-22/2 * * 1-5", "30 */1 * * *", "0 0-23 * * *", "5,35 * * * *", "0 2 25 10 *",
]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", "2026-03-29"), ("Europe/Berlin", "2026-10-25"), ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"), ("Australia/Sydney", "2026-04-05"), ("Australia/Sydney", "2026-10-04"),
        ("Asia/Kolkata", "2026-05-01"), ("UTC", "2026-02-28"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cron", CRONS)
def test_our_ticks_are_dagsters_also_in_the_nights_in_which_the_clock_changes(cron: str, zone: str, day: str) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)) - timedelta(days=4)
    dagsters = ticks_of(cron, start, start + timedelta(days=8))
    settings = check_schedules({"timezone": zone, "schedules": {"new": cron}}, "f")
    assert list(islice(settings.ticks(SyncType.NEW, start - timedelta(seconds=1)), len(dagsters))) == dagsters
    for before, tick in pairwise(dagsters):
        assert settings.last_tick(SyncType.NEW, tick) == tick
        assert settings.last_tick(SyncType.NEW, tick - timedelta(seconds=1)) == before


def test_the_ticks_of_several_crons_are_dagsters() -> None:
    crons = ["0 6-22/2 * * *", "*/20 11-13 * * 1-5", "0 12 * * *"]
    settings = check_schedules({"timezone": "Europe/Berlin", "schedules": {"new": crons}}, "f")

    after = datetime(2026, 3, 27, 12, tzinfo=UTC)  # before the night on which the clock changes
    start = after.astimezone(BERLIN)
    dagsters = sorted({tick for cron in crons for tick in ticks_of(cron, start, start + timedelta(days=9))})
    expected = [tick for tick in dagsters if tick > after][:60]
    assert list(islice(settings.ticks(SyncType.NEW, after), 60)) == expected
    for before, tick in pairwise(expected):
        assert settings.last_tick(SyncType.NEW, tick - timedelta(seconds=1)) == before
        assert settings.last_tick(SyncType.NEW, tick) == tick
    assert settings.ticks_per_day(settings.crons(SyncType.NEW)) == 9 + 9 - 1  # 12:00 is a tick of all three


def test_an_account_has_crons_of_its_own_and_the_others_of_all_accounts() -> None:
    settings = check_schedules({"frequent_new": "*/10 * * * *", "schedules": {"care": "0 5 * * *"}}, "f")
    own = settings.for_account(OwnCrons(new=("0 * * * *",)))
    assert own.crons(SyncType.NEW) == ("0 * * * *",)
    assert own.crons(SyncType.CARE) == ("0 5 * * *",)
    assert own.crons(SyncType.NEW, frequent=True) == ("*/10 * * * *",)
    after = datetime(2026, 3, 1, 0, 5, tzinfo=UTC)
    for frequent, expected in (
        (False, datetime(2026, 3, 1, 6, tzinfo=UTC)),
        (("*/30 * * * *",), after.replace(minute=30)),
    ):
        assert settings.for_account(OwnCrons.model_validate({"frequent_new": frequent})).next_passes_of_new(
            after, 1
        ) == [expected]


def test_the_hourly_example_of_the_brief() -> None:
    settings = ScheduleSettings(schedules=Crons(new=("0 6-22 * * *",)))
    ticks = settings.ticks(SyncType.NEW, datetime(2026, 1, 1, tzinfo=UTC))
    assert [next(ticks).hour for _ in range(18)] == [*range(6, 23), 6]


@pytest.mark.parametrize(
    ("attributes", "line"),
    [
        (
            {"schedules": {"new": "every two hours"}},
            "schedules.new: 'every two hours' is no cron expression; allowed are",
        ),
        ({"schedules": {"new": "0 25 * * *"}}, "schedules.new: '0 25 * * *' is no cron expression"),
        (
            {"schedules": {"fresh": "0 * * * *"}},
            "schedules.fresh: no such setting; allowed are new, modified, care",
        ),
        ({"schedules": {"new": "0 6 31 2 *"}}, "schedules.new: '0 6 31 2 *' has no tick: there is no such day"),
        ({"schedules": {"new": "@reboot"}}, "schedules.new: '@reboot' is no cron expression; allowed are five fields"),
        ({"schedules": {"new": []}}, "schedules.new: allowed are 1 to 10 cron expressions, found are 0"),
        ({"schedules": {"new": ["@hourly", "0 25 * * *"]}}, "schedules.new: '0 25 * * *' is no cron expression"),
        ({"schedules": {"new": 6}}, "schedules.new: 6 is no cron expression; write it in quotes, e.g. "),
        ({"timezone": "Berlin"}, "timezone: 'Berlin' is no time zone; allowed are IANA names"),
        ({"partitions_start": "soon"}, "partitions_start: "),
        ({"partitions_start": "2999-01-01"}, "partitions_start: 2999-01-01 is in the future; allowed are days up to"),
        ({"when": 1}, "when: no such setting; allowed are timezone, partitions_start, schedules"),
    ],
)
def test_an_error_names_file_key_and_reason(attributes: dict[str, object], line: str) -> None:
    with pytest.raises(ScheduleConfigError) as problem:
        check_schedules(attributes, "defs/sync/defs.yaml")
    assert str(problem.value).startswith("defs/sync/defs.yaml: ")
    assert line in str(problem.value)


def test_names_stand_for_cron_expressions() -> None:
    assert check_schedules({"schedules": {"new": "@hourly", "care": "@daily"}}, "f").schedules == Crons(
        new=("0 * * * *",), care=("0 0 * * *",)
    )


def test_a_file_that_is_no_yaml_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text("a: [")
    with pytest.raises(ScheduleConfigError, match="is not readable YAML"):
        read_schedules(tmp_path / "defs.yaml")


def test_the_cost_of_further_passes_of_new_is_shown() -> None:
    settings = check_schedules({"frequent_new": "*/10 6-22 * * *"}, "f")
    assert settings.cost(SyncType.NEW, settings.crons(SyncType.NEW, frequent=True)) == (
        "102 ticks per day, at least 204 API calls per day for each account"
    )
    component = SyncSchedules({"frequent_new": "*/10 6-22 * * *"})
    schedules = (
        component.build_defs(cast(dg.ComponentLoadContext, SimpleNamespace(path=Path("defs/sync")))).schedules or []
    )
    frequent = next(s for s in schedules if s.name == "sync_new_orders_frequent_schedule")
    assert isinstance(frequent, dg.ScheduleDefinition)
    assert "102 ticks per day" in str(frequent.description)
    assert ScheduleSettings().frequent_new is None
    with pytest.raises(ScheduleConfigError, match="f: frequent_new: 'often' is no cron expression"):
        check_schedules({"frequent_new": "often"}, "f")
