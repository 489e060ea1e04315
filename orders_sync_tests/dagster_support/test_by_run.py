"""Which runs are a person's act: those that a person starts or re-executes, and no run that Dagster starts itself."""

import dagster as dg
import pytest

from orders_sync.acts.by import By
from orders_sync.dagster_support.by_run import by_hand

SCHEDULED = {"dagster/schedule_name": "new_schedule"}
SENSED = {"dagster/sensor_name": "order_events_sensor"}
RETRIED = {"dagster/retry_number": "1"}


def run(tags: dict[str, str], *, is_re_execution: bool = False) -> dg.DagsterRun:
    first = "the first run" if is_re_execution else None
    return dg.DagsterRun("apply_order_events", run_id="0123456789", tags=tags, parent_run_id=first, root_run_id=first)


@pytest.mark.parametrize("tags", [SCHEDULED, SENSED, {"dagster/from_automation_condition": "true"}])
def test_a_run_that_no_person_starts_is_no_act(tags: dict[str, str]) -> None:
    assert by_hand(run(tags)) is None


def test_a_run_that_a_person_starts_is_an_act() -> None:
    by = By("Dagster run 01234567", "", "Dagster job apply_order_events", "0123456789")
    assert by_hand(run({})) == by
    assert by_hand(run({"user": "ann@shop.example"})) == by._replace(user="ann@shop.example")


@pytest.mark.parametrize("tags", [SCHEDULED, SENSED])
def test_a_scheduled_run_that_a_person_re_executes_is_an_act(tags: dict[str, str]) -> None:
    """Dagster gives the re-execution the tags of the first run."""
    assert by_hand(run(tags, is_re_execution=True)) is not None


@pytest.mark.parametrize("tags", [SCHEDULED, SENSED])
def test_an_automatic_retry_of_a_scheduled_run_is_no_act(tags: dict[str, str]) -> None:
    assert by_hand(run(tags | RETRIED, is_re_execution=True)) is None
