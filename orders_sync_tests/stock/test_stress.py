"""Stock under load: ten seconds of what `make stress` does for longer."""

from orders_sync_tests.stock.stress import stress


def test_under_load_no_lock_ends_wrong(database_url: str) -> None:
    figures = stress(database_url, seconds=10, orders=1_500)
    assert figures.is_right, figures
    assert figures.deadlocks == 0, figures
    assert figures.events > 500, figures
    assert figures.acts["import"] > 0, figures
    assert set(figures.transitions) == {"locked", "short", "consumed", "released"}, figures
