"""Back Market's published rate limits: the call after the last allowed one starts the penalty."""

from orders_sync.sandbox.rates import PublishedLimits


def test_a_call_too_many_is_rejected_until_the_penalty_ends() -> None:
    now = 0.0
    limits = PublishedLimits(lambda: now)
    assert all(limits.admits("/ws/orders") for _ in range(200))
    assert not limits.admits("/ws/orders")
    now = 9.9
    assert not limits.admits("/ws/orders")
    now = 10.1
    assert limits.admits("/ws/orders")


def test_care_folders_have_limits_of_their_own() -> None:
    now = 0.0
    limits = PublishedLimits(lambda: now)
    for window in range(2):
        now = window * 11.0
        assert all(limits.admits("/ws/sav") for _ in range(200))
    now = 22.0
    assert [limits.admits("/ws/sav") for _ in range(121)].count(True) == 120  # 520 calls a minute
    assert limits.admits("/ws/sav/1")
