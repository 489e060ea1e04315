"""Which runs are a person's act: those that a person starts or re-executes, and no run that Dagster starts itself."""

from collections.abc import Iterator

import dagster as dg
import pytest

from orders_sync.acts.by import By
from orders_sync.dagster_support.by_run import by_hand

SCHEDULED = {"dagster/schedule_name": "new_schedule"}
SENSED = {"dagster/sensor_name": "order_events_sensor"}
RETRIED = {"dagster/retry_number": "1"}
RUN_ID = "0123456789"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def add_run(
    instance: dg.DagsterInstance, tags: dict[str, str], *, run_id: str = RUN_ID, parent: str | None = None
) -> dg.DagsterRun:
    return instance.add_run(
        dg.DagsterRun("apply_order_events", run_id=run_id, tags=tags, parent_run_id=parent, root_run_id=parent)
    )


@pytest.mark.parametrize("tags", [SCHEDULED, SENSED, {"dagster/from_automation_condition": "true"}])
def test_a_run_that_no_person_starts_is_no_act(instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    assert by_hand(add_run(instance, tags), instance) is None


@pytest.mark.parametrize(("tags", "user"), [({}, "Dagster run 01234567"), ({"user": "ann@shop"}, "ann@shop")])
def test_a_run_that_a_person_starts_is_an_act(instance: dg.DagsterInstance, tags: dict[str, str], user: str) -> None:
    by = By(user, "", "Dagster job apply_order_events", RUN_ID)
    assert by_hand(add_run(instance, tags), instance) == by


@pytest.mark.parametrize("tags", [SCHEDULED, SENSED])
def test_a_scheduled_run_that_a_person_re_executes_is_an_act(
    instance: dg.DagsterInstance, tags: dict[str, str]
) -> None:
    """Dagster gives the re-execution the tags of the first run."""
    add_run(instance, tags, run_id="first")
    assert by_hand(add_run(instance, tags, parent="first"), instance) is not None


class TestAnAutomaticRetry:
    """It counts as the run that it repeats, whose tags it has."""

    @pytest.mark.parametrize("tags", [SCHEDULED, SENSED])
    def test_of_a_scheduled_run_is_no_act(self, instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
        add_run(instance, tags, run_id="first")
        add_run(instance, tags | RETRIED, run_id="second", parent="first")
        assert by_hand(add_run(instance, tags | RETRIED, parent="second"), instance) is None

    def test_of_a_run_that_a_person_started_is_an_act(self, instance: dg.DagsterInstance) -> None:
        add_run(instance, {}, run_id="first")
        assert by_hand(add_run(instance, RETRIED, parent="first"), instance) is not None

    @pytest.mark.parametrize("tags", [SCHEDULED, SENSED])
    def test_of_a_persons_re_execution_is_an_act(self, instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
        add_run(instance, tags, run_id="first")
        add_run(instance, tags, run_id="by a person", parent="first")
        add_run(instance, tags | RETRIED, run_id="retry", parent="by a person")
        by = by_hand(add_run(instance, tags | RETRIED, parent="retry"), instance)
        assert by is not None
        assert by.user == "Dagster run 01234567"

    def test_of_a_run_that_dagster_has_forgotten_is_judged_by_its_tags(self, instance: dg.DagsterInstance) -> None:
        assert by_hand(add_run(instance, SCHEDULED | RETRIED, parent="gone"), instance) is None
