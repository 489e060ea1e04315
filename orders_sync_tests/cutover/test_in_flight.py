"""A difference is in flight until both sides have looked, and never longer than the deadline."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orders_sync.cutover.in_flight import Patience, Sight

NOW = datetime(2026, 3, 10, 6, tzinfo=UTC)
CADENCE = timedelta(minutes=30)
DEADLINE = timedelta(hours=6)
PATIENCE = Patience(NOW, CADENCE, DEADLINE)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


MOMENTS = st.none() | st.floats(-48, 48, allow_nan=False).map(lambda hours: NOW + timedelta(hours=hours))
SIGHTS = st.builds(Sight, MOMENTS, MOMENTS, MOMENTS, MOMENTS)


def test_what_v1_has_written_since_v2_looked_is_in_flight_until_v2_looks() -> None:
    changed = ago(hours=2)
    assert PATIENCE.is_in_flight(Sight(changed, ago(hours=3), ago(hours=2, minutes=1)))
    assert not PATIENCE.is_in_flight(Sight(changed, ago(hours=3), ago(hours=1)))


def test_what_v2_has_is_in_flight_for_v1s_cadence() -> None:
    assert PATIENCE.is_in_flight(Sight(ago(hours=3), ago(minutes=29), NOW))
    assert not PATIENCE.is_in_flight(Sight(ago(hours=3), ago(minutes=31), NOW))


def test_v1_writes_whole_seconds_and_that_hides_nothing() -> None:
    """V2 has a fraction of a second more than V1: for ever younger, so to speak."""
    whole = ago(hours=1)
    assert not PATIENCE.is_in_flight(Sight(whole, whole + timedelta(milliseconds=700), NOW))


def test_a_lane_that_never_ran_is_waited_for_until_the_deadline() -> None:
    assert PATIENCE.is_in_flight(Sight(ago(hours=5), None, None))
    assert not PATIENCE.is_in_flight(Sight(ago(hours=7), None, None))


def test_a_clock_that_is_ahead_hides_nothing_for_longer() -> None:
    ahead = NOW + timedelta(hours=3)
    assert PATIENCE.is_in_flight(Sight(ahead, None, ago(hours=1)))
    assert not PATIENCE.is_in_flight(Sight(ahead, None, ago(hours=1), first_found_at=ago(hours=7)))


def test_a_row_that_is_written_again_and_again_is_not_young_for_ever() -> None:
    assert not PATIENCE.is_in_flight(Sight(ago(minutes=1), ago(minutes=1), ago(hours=1), first_found_at=ago(hours=7)))


def test_what_nobody_knows_the_time_of_counts_at_once() -> None:
    assert not PATIENCE.is_in_flight(Sight(None, None, NOW))


@given(sight=SIGHTS)
def test_nothing_is_in_flight_longer_than_the_deadline(sight: Sight) -> None:
    later = PATIENCE._replace(now=NOW + timedelta(hours=48) + DEADLINE + timedelta(seconds=1))
    assert not later.is_in_flight(sight)


@given(sight=SIGHTS)
def test_once_both_have_looked_it_counts(sight: Sight) -> None:
    known = [moment for moment in (sight.v1_changed_at, sight.v2_changed_at) if moment is not None]
    both_looked = [each + CADENCE for each in known]
    now = max([NOW, *both_looked])
    assert not PATIENCE._replace(now=now).is_in_flight(sight._replace(v2_looked_until=now))


@given(sight=SIGHTS, hours=st.floats(0, 72))
def test_what_was_found_earlier_is_never_younger(sight: Sight, hours: float) -> None:
    earlier = sight._replace(first_found_at=ago(hours=hours))
    if PATIENCE.is_in_flight(earlier):
        assert PATIENCE.is_in_flight(sight) or sight.first_found_at is not None
