"""Limits that scale, and waits that end when their condition holds or say what did not come."""

import time
from collections.abc import Iterator

import pytest

from orders_sync.testing import machine_speed
from orders_sync.testing.machine_speed import slowness
from orders_sync.testing.waiting import limit, wait_for


@pytest.fixture(autouse=True)
def measured_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    slowness.cache_clear()
    yield
    slowness.cache_clear()


def test_a_limit_scales_with_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine_speed.VARIABLE, "2.5")
    assert limit(10) == 25


def test_workers_that_share_a_core_have_longer_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine_speed.VARIABLE, "2.5")
    monkeypatch.setattr(machine_speed.os, "cpu_count", lambda: 2)
    for workers, seconds in (("1", 25), ("2", 25), ("4", 50)):
        monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", workers)
        slowness.cache_clear()
        assert limit(10) == seconds


def test_a_faster_machine_has_the_same_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine_speed.VARIABLE, "0.2")
    assert limit(10) == 10


def test_a_measurement_that_takes_too_long_counts_as_that_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a busy machine would end the run before its first test."""
    monkeypatch.delenv(machine_speed.VARIABLE)
    monkeypatch.setattr(machine_speed, "WORK", "import time; time.sleep(60)")
    monkeypatch.setattr(machine_speed, "MAX_SECONDS", 2.0)
    assert slowness() == 2.0 / machine_speed.REFERENCE_SECONDS


def test_the_first_process_measures_for_all_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(machine_speed.VARIABLE)
    measured = slowness()
    slowness.cache_clear()
    monkeypatch.setattr(machine_speed, "WORK", "raise SystemExit('measured twice')")
    assert slowness() == measured >= 1


def test_what_comes_true_is_returned() -> None:
    answers = iter(["", "", "here"])
    assert wait_for(lambda: next(answers), every=0.01) == "here"


def test_what_does_not_come_true_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine_speed.VARIABLE, "2")
    began = time.monotonic()
    with pytest.raises(AssertionError, match="the tide did not come true within 1 s"):
        wait_for(lambda: False, seconds=0.5, what="the tide")
    assert time.monotonic() - began >= 1
