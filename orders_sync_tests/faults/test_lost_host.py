"""A host that loses its power or its network: its session at the server looks alive."""

import os
import sys
import time

import pytest

from orders_sync.database.advisory_locks import is_held
from orders_sync.database.engine import connect
from orders_sync.testing.waiting import wait_for
from orders_sync_tests.debian_postgresql import debian_server
from orders_sync_tests.faults.other_host import NEEDS_ROOT, other_host

WORK = """
from orders_sync.lanes.lock import hold
from orders_sync.model.lane import Lane, SyncType
with hold(Lane("shop", SyncType.NEW), "run-1") as connection:
    print("it holds the lane", flush=True)
    try:
        connection.execute("SELECT pg_sleep(600)")
    except Exception as error:
        print(f"the connection is lost: {error}", flush=True)
"""


@NEEDS_ROOT
@pytest.mark.needs("ip")
@pytest.mark.needs("postgresql")
def test_the_lane_of_a_lost_host_is_free_within_a_minute_and_the_host_notices_it_too() -> None:
    with other_host() as host, debian_server(host.address) as server:
        url = f"{server}/postgres"
        process = host.start([sys.executable, "-c", WORK], {**os.environ, "ORDERS_DATABASE_URL": url})
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "it holds the lane\n"
            with connect(url) as connection:
                assert is_held(connection, "orders_sync lane shop/new")
                host.cut()
                began = time.monotonic()
                wait_for(lambda: not is_held(connection, "orders_sync lane shop/new"), seconds=60, what="a free lane")
                print(f"The lane was free after {time.monotonic() - began:.0f} s.")
            assert process.stdout.readline().startswith("the connection is lost: ")
        finally:
            process.kill()
            process.wait()
