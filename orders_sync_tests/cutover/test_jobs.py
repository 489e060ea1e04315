"""V1's commands as jobs: however V1 is called, a failure is a red run, and once V2 is live none runs."""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from orders_sync.acts.manual_acts import Selection, stored_acts
from orders_sync.config.v1 import CutoverError, CutoverSettings, Run
from orders_sync.cutover import moves
from orders_sync.cutover.phases import hold_phase, note_moves
from orders_sync.dagster_instance.instance import open_instance
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection, connect
from orders_sync.defs.cutover import jobs
from orders_sync.lanes.authority import Phase, StillActingError, current_authority, keep_v1_stopped
from orders_sync.sandbox.v1 import TABLES
from orders_sync.stock.connection import stock_connection, stock_reader
from orders_sync.stock.levels import import_levels
from orders_sync.stock.queries import sku_levels
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests.cli.command_line import run as run_command
from orders_sync_tests.cutover.moved import BY, begin

Launch = Callable[[Run], dg.ExecuteInProcessResult]


@pytest.fixture
def launch(connection: Connection, settings: CutoverSettings, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Runs the job refresh_new as v1.yaml would say, in phase parallel."""
    begin(connection, settings)

    def run(how: Run) -> dg.ExecuteInProcessResult:
        monkeypatch.setattr(jobs, "load_cutover_settings", lambda: settings.model_copy(update={"run": how}))
        resources = {"orders_database": OrdersDatabase()}
        return jobs.refresh_new.execute_in_process(raise_on_error=False, resources=resources)

    return run


def failure(result: dg.ExecuteInProcessResult) -> str:
    data = result.get_step_failure_events()[0].step_failure_data
    return f"{data.error} {data.user_failure_data}"


def test_a_command_is_run_and_its_failure_is_reported(launch: Launch) -> None:
    assert launch(Run(kind="command", command="test {command} = refresh:new")).success
    failed = launch(Run(kind="command", command="sh -c 'exit 3'"))
    assert not failed.success
    assert "`sh -c 'exit 3'` ended with exit code 3." in failure(failed)


def test_no_shell_reads_the_command(launch: Launch, tmp_path: Path) -> None:
    """What a shell would do with these characters is not done; the program gets them as they are."""
    made = tmp_path / "made"
    script = tmp_path / "arguments"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/seen\n')
    script.chmod(0o755)
    assert launch(Run(kind="command", command=f"{script} '{{command}}; touch {made}' $(touch {made}) > {made}")).success
    assert not made.exists()
    seen = (tmp_path / "seen").read_text().splitlines()
    assert seen == [f"refresh:new; touch {made}", "$(touch", f"{made})", ">", str(made)]
    missing = launch(Run(kind="command", command="cd /srv/v1 && php artisan {command}"))
    assert "could not be started: No such file or directory. No shell reads the command" in failure(missing)


def test_the_command_sees_no_credential_of_ours(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BACK_MARKET_EU_TOKEN", "the token")
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    seen = tmp_path / "seen"

    def environment(*names: str) -> dict[str, str]:
        command = f"sh -c 'env > {seen}'"
        assert launch(Run(kind="command", command=command, environment=list(names))).success
        return dict(line.split("=", 1) for line in seen.read_text().splitlines())

    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    assert set(environment()) - of_the_shell <= {"PATH", "HOME", "LANG", "TZ", "LC_ALL", "LC_CTYPE"}
    assert "the token" not in seen.read_text()
    assert os.environ["ORDERS_DATABASE_URL"] not in seen.read_text()
    assert environment("APP_ENV")["APP_ENV"] == "production"


def test_an_address_is_called_and_its_failure_is_reported(launch: Launch) -> None:
    requested: list[str] = []

    class Verified(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requested.append(self.path)
            self.send_response(204 if self.path == "/run/refresh:new" else 500)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Verified) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert launch(Run(kind="url", url=f"{address}/run/{{command}}")).success
        failed = launch(Run(kind="url", url=f"{address}/gone/{{command}}"))
        server.shutdown()
    assert requested == ["/run/refresh:new", "/gone/refresh:new"]
    assert "V1 answers refresh:new with 500." in failure(failed)


def test_once_v2_is_live_v1_does_not_run(launch: Launch, connection: Connection) -> None:
    with connection.transaction():
        note_moves(connection, ["shop"], Phase.PARALLEL, Phase.LIVE, BY)
    failed = launch(Run(kind="command", command="true"))
    assert not failed.success
    assert "V2 is live: V1 is switched off." in failure(failed)


def test_a_v1_that_still_writes_once_v2_is_live_is_shown(
    definitions: dg.Definitions, connection: Connection, v1_url: str
) -> None:
    """The check `v1_stays_off`, every hour."""
    sandbox = ["back_market_sandbox"]
    job = definitions.resolve_job_def("check_orders")

    def stays_off(instance: dg.DagsterInstance) -> bool:
        result = job.execute_in_process(raise_on_error=False, instance=instance)
        return next(e.passed for e in result.get_asset_check_evaluations() if e.check_name == "v1_stays_off")

    # A real instance: it knows schedules.
    with psycopg.connect(v1_url, autocommit=True) as v1, open_instance() as instance:
        v1.execute(TABLES)
        now = datetime.now(UTC).replace(tzinfo=None)
        v1.execute(
            "INSERT INTO orders (marketplace, marketplace_order_id, updated_at) SELECT marketplace, '1', %s "
            "FROM unnest(ARRAY['back_market', 'ebay']) AS marketplace",
            [now - timedelta(hours=1)],
        )
        note_moves(connection, sandbox, Phase.LIVE, Phase.PARALLEL, BY)
        assert stays_off(instance)
        note_moves(connection, sandbox, Phase.PARALLEL, Phase.LIVE, BY)
        assert stays_off(instance)
        later = now + timedelta(minutes=5)
        v1.execute("UPDATE orders SET updated_at = %s WHERE marketplace = 'ebay'", [later])
        assert stays_off(instance), "V2 has not taken that over"
        v1.execute("INSERT INTO order_items (id, order_id, orderline_id) VALUES (1, 1, '10')")
        v1.execute("INSERT INTO stock_locks (order_item_id, released_at) VALUES (1, %s)", [later])
        assert not stays_off(instance), "V1 has changed a lock"
        v1.execute("DELETE FROM stock_locks")
        assert stays_off(instance)
        v1.execute("UPDATE orders SET updated_at = %s", [later])
        assert not stays_off(instance)


def test_a_comparison_that_a_person_starts_is_an_act(
    definitions: dg.Definitions, connection: Connection, v1_url: str
) -> None:
    with psycopg.connect(v1_url, autocommit=True) as v1:
        v1.execute(TABLES)
    day = str(datetime.now(UTC).date() - timedelta(days=1))
    job = definitions.resolve_job_def("compare_v1_and_v2")
    scheduled = {"dagster/schedule_name": "compare_v1_and_v2_schedule"}
    assert job.execute_in_process(partition_key=day, tags=scheduled).success
    assert stored_acts(connection, Selection()) == []
    assert job.execute_in_process(partition_key=day, tags={"user": "ann@shop.example"}).success
    (act,) = stored_acts(connection, Selection())
    assert (act.actor, act.act) == ("ann@shop.example", "compare_v1_and_v2")
    assert (act.account, act.object, act.detail) == (
        "back_market_sandbox",
        f"day {day}",
        "No order was compared: neither side touched one.",
    )
    assert run_command("cutover", "compare", "--day", day).exit_code == 0
    assert stored_acts(connection, Selection())[-1].via == "orders-sync cutover compare"


def test_a_move_waits_for_what_acts_outside(
    connection: Connection, settings: CutoverSettings, database_url: str
) -> None:
    """A stock job that began while V2 had the authority does not go on once V1 has it."""
    with connect(database_url) as other, stock_connection("a stock job"):
        with pytest.raises(StillActingError, match=r"a stock job did not finish within 1 s\. The phase has not moved"):
            moves.begin(other, settings, BY, wait_seconds=1)
        assert current_authority(other).is_live("shop")
    moves.begin(connection, settings, BY)
    assert not current_authority(connection).is_live("shop")


def test_a_move_does_not_wait_for_what_only_reads_stock(connection: Connection, settings: CutoverSettings) -> None:
    with stock_reader("a sensor") as stock:
        moves.begin(connection, settings, BY, wait_seconds=1)
        assert sku_levels(stock) == []
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            import_levels(stock, {"PHONE": 1})


WAITS_FOR_LOCK = (
    "SELECT 1 FROM pg_locks JOIN pg_database ON oid = database "
    "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
)


def test_going_live_waits_for_v1s_runs_before_stock_stands_still(
    launch: Launch, connection: Connection, database_url: str, tmp_path: Path
) -> None:
    """However they were launched: else V1 would go on once V2 has the authority."""
    done = tmp_path / "done"
    until_done = Run(kind="command", command=f"sh -c 'while [ ! -e {done} ]; do sleep 0.1; done'")
    run = threading.Thread(target=launch, args=[until_done])
    run.start()
    wait_for(lambda: advisory_locks.holders(connection, "orders_sync runs of V1"), seconds=30, what="V1's run")
    with (
        pytest.raises(StillActingError, match=r"orders_sync V1 .* did not finish within 1 s"),
        keep_v1_stopped(connection, wait_seconds=1),
    ):
        pytest.fail("V1 runs")
    assert connection.execute("SHOW lock_timeout").fetchone() == ("1min",)

    def end_v1s_run_once_the_move_waits() -> None:
        with connect(database_url) as watching:
            wait_for(lambda: watching.execute(WAITS_FOR_LOCK).fetchone(), what="the move that waits")
            with stock_connection("a stock job"):
                done.touch()

    watcher = threading.Thread(target=end_v1s_run_once_the_move_waits)
    watcher.start()
    with keep_v1_stopped(connection, wait_seconds=limit(60)):
        assert done.exists()
    watcher.join()
    run.join()
    assert not advisory_locks.is_held(connection, "orders_sync runs of V1")


def test_of_two_who_move_at_once_one_gets_an_error(
    connection: Connection, settings: CutoverSettings, database_url: str
) -> None:
    """Taking over twice would take V1's locks twice."""
    refused: list[CutoverError] = []

    def begin_too() -> None:
        with connect(database_url) as other:
            try:
                moves.begin(other, settings, BY)
            except CutoverError as problem:
                refused.append(problem)

    second = threading.Thread(target=begin_too)
    with connect(database_url) as watching:
        with connection.transaction():
            hold_phase(connection, ["shop"], Phase.LIVE, 1)
            note_moves(connection, ["shop"], Phase.LIVE, Phase.PARALLEL, BY)
            second.start()
            wait_for(lambda: watching.execute(WAITS_FOR_LOCK).fetchone(), seconds=10, what="the second move")
        second.join()
        assert [str(problem) for problem in refused] == [
            "Somebody else has moved the cutover meanwhile. The phase of shop is parallel now."
        ]
        assert watching.execute("SELECT count(*) FROM migration_moves").fetchone() == (1,)
