"""All four syncs, any number of times, in any order: the same tables and the same events as a simple model says."""

from datetime import timedelta

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from orders_sync.database.engine import Connection, connect
from orders_sync.marketplaces.back_market import ITEM_STATUS, ORDER_STATUS
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants, every_listed_order_is_stored_or_rejected
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

#: (order state, line state) as they follow one another in the contract.
LIFE = [(0, 0), (1, 1), (3, 2), (9, 3), (9, 6)]
ENDS = [(9, 4), (9, 5), (8, 7)]


class AnyOrder(RuleBasedStateMachine):
    """The marketplace and the syncs take turns; the model is what the marketplace said at each modified pass."""

    def __init__(self) -> None:
        super().__init__()
        for table in ("orders", "order_items", "order_events", "care_records", "lanes", "lane_runs", "stock_locks",
                      "stock_levels", "stock_lock_history", "stock_movements", "rejected_records", "acceptances"):  # fmt: skip
            CONNECTION.execute(f"TRUNCATE {table}")
        self.marketplace = MARKETPLACE
        self.marketplace.world.scripted.clear()
        self.marketplace.world.scripted_folders.clear()
        self.marketplace.world.version += 1
        self.account = sandbox_account(self.marketplace, accept_orderlines=False)
        self.number = 0

    @initialize(levels=st.dictionaries(st.sampled_from(["PHONE", "CASE"]), st.integers(0, 4)))
    def stock(self, levels: dict[str, int]) -> None:
        import_levels(StockConnection(CONNECTION), levels)

    @rule(
        skus=st.lists(st.sampled_from(["PHONE", "CASE", "UNKNOWN"]), min_size=1, max_size=3),
        step=st.integers(0, 3),
    )
    def an_order_arrives(self, skus: list[str], step: int) -> None:
        self.number += 1
        self.marketplace.pass_time(seconds=61)
        state, line_state = LIFE[step]
        an_order(
            self.marketplace,
            self.number,
            state=state,
            line_state=line_state,
            skus=tuple(skus),
            age=timedelta(0),
        )

    @rule(data=st.data(), end=st.sampled_from([None, None, *ENDS]))
    def an_order_moves(self, data: st.DataObject, end: tuple[int, int] | None) -> None:
        if not self.number:
            return
        order = self.marketplace.world.scripted[data.draw(st.integers(1, self.number))]
        self.marketplace.pass_time(seconds=61)
        here = (order["state"], order["orderlines"][0]["state"])
        if here not in LIFE[:-1]:
            return
        state, line_state = end or LIFE[LIFE.index(here) + 1]
        self.marketplace.set_states(order["order_id"], state, line_state)

    @rule(data=st.data())
    def a_care_folder_opens(self, data: st.DataObject) -> None:
        if self.number:
            self.marketplace.pass_time(seconds=61)
            line = data.draw(st.integers(1, self.number + 2)) * 100
            self.marketplace.put_folder(1000 + len(self.marketplace.world.scripted_folders), line)

    @rule(
        sync_type=st.sampled_from(["new", "modified", "care", "incomplete"]),
        days=st.sampled_from([None, 1, 30]),
    )
    def a_sync_runs(self, sync_type: str, days: int | None) -> None:
        start = None if days is None else self.marketplace.now() - timedelta(days=days)
        sync(self.account, sync_type, start=start)

    @rule()
    def the_stock_job_runs(self) -> None:
        apply_pending(StockConnection(CONNECTION))

    @rule()
    def everything_is_synced_and_agrees_with_the_marketplace(self) -> None:
        sync(self.account, "modified")
        sync(self.account, "care")
        listed = [o for o in self.marketplace.world.scripted.values() if o["state"] not in (0, 8)]
        stored = dict(CONNECTION.execute("SELECT order_id, status FROM orders").fetchall())
        for order in listed:
            assert stored[str(order["order_id"])] == ORDER_STATUS[order["state"]]
        items = dict(CONNECTION.execute("SELECT item_id, status FROM order_items").fetchall())
        for order in listed:
            for line in order["orderlines"]:
                assert items[str(line["id"])] == ITEM_STATUS[line["state"]]
        every_listed_order_is_stored_or_rejected(CONNECTION, self.account.name, listed)
        folders = {str(number) for number in self.marketplace.world.scripted_folders}
        assert {row[0] for row in CONNECTION.execute("SELECT care_id FROM care_records")} == folders

    @invariant()
    def what_must_hold_holds(self) -> None:
        check_invariants(CONNECTION)


MARKETPLACE: Marketplace
CONNECTION: Connection


def test_any_order_of_syncs_gives_the_same_tables_and_events(database_url: str, marketplace: Marketplace) -> None:
    global MARKETPLACE, CONNECTION
    MARKETPLACE = marketplace
    with connect(database_url) as CONNECTION:
        assert isinstance(CONNECTION, psycopg.Connection)
        run_state_machine_as_test(
            AnyOrder,
            settings=settings(
                max_examples=25,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
            ),
        )
