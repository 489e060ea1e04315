"""The test harness, for the tests of this project and for those of your own adapters.

    from orders_sync.database.engine import connect
    from orders_sync.testing.databases import orders_database
    from orders_sync.testing.invariants import check_invariants, nothing_changed
    from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

    def test_a_new_order_is_stored_once():
        with orders_database() as url, connect(url) as connection, Marketplace(orders=50) as marketplace:
            account = sandbox_account(marketplace)
            sync(account, "modified")
            an_order(marketplace, 1, skus=("PHONE", "CHARGER"))
            marketplace.fault("status", status=503, times=1)
            assert sync(account, "new").created == 1
            nothing_changed(sync(account, "new"))
            check_invariants(connection)

Nothing here is a mock: passes fetch over HTTP and write to PostgreSQL.

* `marketplace`: a fake marketplace whose orders, clock and faults your test controls, and an account at it. For a
  contract of your own, derive from `orders_sync.sandbox.fake_marketplace.FakeMarketplace`.
* `databases`: a database for one test.
* `invariants`: checks of everything that must hold after every pass.
* `row_faults`: breaks the connection, fails or waits when a certain row is written.
* `http_server`: serves an ASGI application of your own, e.g. the contract of your marketplace.
* `adapter_contract`: what must hold for the records of every adapter, as a table of cases made of your examples.
* `field_mapping`: the check that each canonical field has the value of its own source; times and addresses for it.
* `record_places`: the places in a record's JSON, and a record with another value in one of them.
* `record_outcomes`: what becomes of one raw record: stored, stored with flaws, or rejected.
* `waiting`: waits for a condition, with time limits that fit the machine's speed.
* `deployment`: the whole project under `dagster dev`, in a folder of its own. It needs the extra
  `orders-sync[testing]`.
"""
