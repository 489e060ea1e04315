"""The environment variables: what an error says."""

import pytest

from orders_sync.config.environment import dead_run_seconds
from orders_sync.model.errors import UserFacingError


def test_the_seconds_until_a_run_is_dead_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERS_SYNC_DEAD_RUN_SECONDS", raising=False)
    assert dead_run_seconds() == 90
    monkeypatch.setenv("ORDERS_SYNC_DEAD_RUN_SECONDS", "4.5")
    assert dead_run_seconds() == 4.5


@pytest.mark.parametrize("value", ["abc", "-1", "nan", "inf"])
def test_other_values_are_reported_with_variable_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ORDERS_SYNC_DEAD_RUN_SECONDS", value)
    with pytest.raises(UserFacingError) as problem:
        dead_run_seconds()
    assert str(problem.value) == f"ORDERS_SYNC_DEAD_RUN_SECONDS is '{value}'; allowed are seconds, e.g. 90"
