"""`orders-sync` on the command line, as a user and as scripts use it."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from orders_sync.cli import RENAMED, OrdersSyncGroup, main
from orders_sync.config import v1
from orders_sync.database.engine import Connection
from orders_sync.database.schema import newest_revision
from orders_sync.lanes.lock import hold
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync.testing.row_faults import reject_row
from orders_sync.testing.waiting import limit
from orders_sync_tests.cli.command_line import add_account, run, ship_and_return


def test_a_sync_prints_a_summary(shop: Marketplace) -> None:
    for number in range(1, 31):
        an_order(shop, number)
    result = run("sync", "--type", "new", "--page-size", "20")
    assert result.exit_code == 0, result.output
    table = [[cell.strip() for cell in re.split("[┃│]", line)[1:-1]] for line in result.output.splitlines()]
    names, values = (row for row in table if row)
    summary = dict(zip(names, values, strict=True))
    assert (summary["lane"], summary["created"], summary["api_calls"]) == ("shop/new", "30", "3")
    assert shop.calls("GET /ws/orders") == 1 + 2  # what waits, and two pages of 20


def test_a_range_that_ends_before_it_begins_is_wrong_usage(shop: Marketplace) -> None:
    wrong = run("sync", "--type", "new", "--since", "2026-02-01", "--until", "2026-01-01")
    assert wrong.exit_code == 2
    assert "--since 2026-02-01 00:00 must lie before --until 2026-01-01 00:00" in wrong.output


def test_all_syncs_run_in_their_order(shop: Marketplace, connection: Connection) -> None:
    assert run("sync", "--type", "all", "--days-back", "5").exit_code == 0
    rows = connection.execute("SELECT sync_type FROM lane_runs ORDER BY lane_run_id").fetchall()
    assert [row[0] for row in rows] == ["new", "modified", "care", "incomplete"]


def test_a_fatal_error_is_exit_code_1_and_one_bad_order_is_not(shop: Marketplace) -> None:
    an_order(shop, 1, orderlines=[])
    result = run("sync", "--type", "new")
    assert result.exit_code == 0
    assert "order 1 rejected: items are missing" in result.output
    shop.fault("status", status=401, times=0)
    result = run("sync", "--type", "new")
    assert result.exit_code == 1
    assert "the credential is wrong" in result.output


def test_a_busy_lane_is_exit_code_3(shop: Marketplace) -> None:
    with hold(Lane("shop", SyncType.NEW), "other"):
        result = run("sync", "--type", "new")
    assert result.exit_code == 3
    assert "Lane shop/new is busy" in result.output


def test_what_is_due_is_run_once(shop: Marketplace, connection: Connection) -> None:
    assert "Due: shop/new, shop/modified, shop/care, shop/incomplete" in run("schedule", "run", "--dry-run").output
    assert run("schedule", "run").exit_code == 0
    assert "Nothing is due." in run("schedule", "run").output


def test_a_lane_that_failed_is_due_again_after_a_minute(shop: Marketplace, connection: Connection) -> None:
    run("sync", "--type", "all")
    shop.fault("status", status=404, path="/ws/orders", times=1)
    assert run("sync", "--type", "modified").exit_code == 1
    assert "Nothing is due." in run("schedule", "run").output
    connection.execute("UPDATE lanes SET last_finished_at = now() - interval '61 seconds'")
    assert "Due: shop/modified" in run("schedule", "run", "--dry-run").output


def test_the_schedules_are_listed_with_ticks_and_api_calls(
    shop: Marketplace, connection: Connection, tmp_path: Path
) -> None:
    run("sync", "--type", "new")
    output = run("schedule", "list").output
    for text in ("0 6-22/2 * * *", "0 2 * * *", "0 */4 * * *", "next tick", "last tick", "never ran", "calls per day"):
        assert text in output
    assert max(map(len, output.splitlines())) <= 80
    listed = json.loads(run("schedule", "list", "--json").output)
    assert listed["schedules"][0]["per_day"] == 9
    (calls,) = connection.execute("SELECT (summary->>'api_calls')::int FROM lane_runs").fetchone() or (0,)
    assert listed["lanes"][0] == {
        "lane": "shop/new", "last_run": listed["lanes"][0]["last_run"], "outcome": "succeeded",
        "calls_per_day": 9 * calls,
    }  # fmt: skip
    add_account(tmp_path, shop, "shop", schedules={"new": ["@hourly", "30 12 * * *"], "frequent_new": "*/30 6-7 * * *"})
    listed = json.loads(run("schedule", "list", "--json").output)
    assert [each["per_day"] for each in listed["schedules"] if "shop" in each["schedule"]] == [25, 4]
    assert listed["lanes"][0]["calls_per_day"] == (25 + 2) * calls  # two of the frequent ones are at full hours


def test_status_shows_each_lane_also_as_json(shop: Marketplace) -> None:
    run("sync", "--type", "new")
    assert "shop/new" in run("status").output
    rows = json.loads(run("status", "--json").output)
    assert [row["sync_type"] for row in rows] == ["new", "modified", "care", "incomplete"]
    assert rows[0]["last_outcome"] == "succeeded"
    # The watermark lies `lag_seconds` (a setting) before the pass.
    assert rows[0]["lag_seconds"] < 120 + limit(60)


def test_the_log_shows_each_run(shop: Marketplace) -> None:
    run("sync", "--type", "new")
    output = run("log", "--grep", "shop/new", "-n", "1").output
    assert "OrderSync shop/new: run cli-" in output


@pytest.mark.parametrize(
    "command",
    [
        ("rejected", "--account", "shpo"), ("rejected", "list", "--account", "shpo", "--json"),
        ("flaws", "--account", "shpo"), ("flaws", "--list", "--csv", "--account", "shpo"),
        ("rejected", "show", "shpo", "1"),
        ("documents", "list", "1", "--account", "shpo"), ("lanes", "rewind", "shpo/new", "--to", "2026-01-01", "--reason", "a test"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_misspelled_account_is_an_error_and_not_an_empty_answer(shop: Marketplace, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert (result.exit_code, result.output) == (1, "Error: There is no account shpo. Did you mean shop?\n")


def test_an_empty_order_id_is_a_usage_error(shop: Marketplace) -> None:
    result = run("sync", "--account", "shop", "--order", " ")
    assert result.exit_code == 2
    assert "--order is empty" in result.output


def test_a_watermark_is_set_back_for_a_reason_only(shop: Marketplace) -> None:
    run("sync", "--type", "new")
    assert run("lanes", "rewind", "shop/new", "--to", "2026-01-01", "--reason", "  ").exit_code == 1
    assert "and is now 2026-01-01" in run("lanes", "rewind", "shop/new", "--to", "2026-01-01", "--reason", "x").output


def test_flaws_are_grouped_and_listed(shop: Marketplace, tmp_path: Path) -> None:
    assert run("flaws").output == "No flaws.\n"
    for number in (1, 2):
        an_order(shop, number, currency="???")
    run("sync", "--type", "new")
    assert [
        (group["field"], group["found"], group["stored"], group["records"])
        for group in json.loads(run("flaws", "--json").output)
    ] == [("currency", "is no code", "unknown", 2)]
    assert "is no code" in run("flaws").output
    assert [row["id"] for row in json.loads(run("flaws", "--list", "--json").output)] == ["1", "2"]
    assert run("flaws", "--csv").output.splitlines()[1].startswith("shop,order,currency,is no code,unknown,2,")
    add_account(tmp_path, shop, "another")
    assert json.loads(run("flaws", "--account", "another", "--json").output) == []
    doctor = run("doctor").output
    assert "2 stored records have flaws" in doctor
    assert "--reread" in doctor


def test_a_partial_sync_is_a_warning_and_exit_code_0(shop: Marketplace, connection: Connection) -> None:
    for number in (900, 901):
        shop.put_folder(number, number)
    shop.fault("status", path="/ws/sav/901", status=404, times=0)
    result = run("sync", "--type", "care")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert "shop/care: partial: 1 record could not be fetched. A later sync tries again;" in text
    assert "care record 901 put off: 127.0.0.1 answers GET /ws/sav/901 with 404" in text
    assert json.loads(run("status", "--json").output)[2]["last_outcome"] == "partial"
    assert json.loads(run("rejected", "--json").output)[0]["reason"] == "record: could not be fetched: 404"


def test_the_pieces_of_a_care_record_are_booked_by_hand(shop: Marketplace, tmp_path: Path) -> None:
    ship_and_return(shop, tmp_path, "PHONE,5")
    unknown = run("stock", "return", "shop", "--care", "900", "--reason", "unopened")
    assert unknown.exit_code != 0
    assert "does not say how many pieces of the items 100 come back" in unknown.output
    booked = run("stock", "return", "shop", "100", "1", "--care", "900", "--reason", "unopened")
    assert "1 pieces of item 100 are on hand again." in booked.output
    output = run("stock", "explain", "100", "--json").output
    assert "care record 900: unopened" in output


def test_the_case_of_skus_is_a_setting(shop: Marketplace, tmp_path: Path) -> None:
    assert run("stock", "settings").output == "sku_case: exact\nunknown_shipping_time: as_seen\n"
    file = tmp_path / "stock.csv"
    file.write_text("sku,on_hand\nphone,1\nPHONE,2\n")
    run("stock", "import", str(file))
    refused = run("stock", "settings", "--sku-case", "ignore")
    assert refused.exit_code == 1
    assert "PHONE (2 pieces), phone (1 pieces)" in " ".join(refused.output.split())
    assert run("stock", "settings").output == "sku_case: exact\nunknown_shipping_time: as_seen\n"
    assert run("stock", "adjust", "--reason", "the same pieces", "--", "phone", "-1").exit_code == 0
    an_order(shop, 1)
    run("sync", "--type", "new")
    changed = " ".join(run("stock", "settings", "--sku-case", "ignore").output.split())
    assert "SKU PHONE: merged from PHONE, phone. The stock job looks at 1 items again." in changed
    assert "sku_case: ignore unknown_shipping_time: as_seen changed by " in changed
    run("stock", "apply")
    assert "2 on hand, 1 reserved" in run("stock", "explain", "Phone").output
    wrong = run("stock", "import", str(file))
    assert (wrong.exit_code, "line 3: SKU PHONE differs only in case from phone in line 2" in wrong.output) == (1, True)
    run("stock", "buffer", "--sku", "phone", "--pieces", "1")
    assert "PHONE" in run("stock", "buffer").output
    run("stock", "adjust", "--reason", "found", "phone", "3")
    assert "5 on hand" in run("stock", "explain", "PHONE").output
    again = " ".join(run("stock", "settings", "--sku-case", "ignore").output.split())
    assert "items again" not in again
    back = " ".join(run("stock", "settings", "--sku-case", "exact").output.split())
    assert "stay in upper case" in back
    assert "sku_case: exact unknown_shipping_time: as_seen changed by " in back


def test_stock_is_imported_applied_and_explained(shop: Marketplace, tmp_path: Path) -> None:
    file = tmp_path / "stock.csv"
    file.write_text("sku,on_hand\nPHONE,1\n")
    assert "1 SKUs imported" in run("stock", "import", str(file)).output
    an_order(shop, 1)
    an_order(shop, 2)
    run("sync", "--type", "new")
    assert "1 locked, 1 short" in run("stock", "apply").output
    output = run("stock", "explain", "PHONE").output
    assert "1 on hand, 1 reserved, 1 short" in output
    assert "Active locks" in output
    assert "OrderCreated accepted" in output
    assert "PHONE" in run("stock", "levels", "--short").output
    assert run("stock", "explain", "NOBODY").exit_code == 1
    file.write_text("sku,on_hand\nPHONE,many\n")
    wrong = run("stock", "import", str(file))
    assert wrong.exit_code == 1
    assert "line 2: on_hand of SKU PHONE is 'many'" in wrong.output


def test_failed_events_are_listed_tried_again_and_skipped(shop: Marketplace, connection: Connection) -> None:
    why = ("--reason", "no such phone")
    reject_row(connection, "stock_locks", "sku", "PHONE")
    an_order(shop, 1)
    run("sync", "--type", "new")
    applied = run("stock", "apply")
    assert (applied.exit_code, "orders-sync stock events" in applied.output) == (1, True)
    [event] = json.loads(run("stock", "events", "--json").output)
    assert (event["order_id"], event["problem"]) == ("1", "NumericValueOutOfRange")
    assert (event["attempts"], event["is_given_up"], event["behind"]) == (1, False, None)
    assert "1 events will be tried again" in run("stock", "retry-event", "all", *why).output
    assert run("stock", "apply").exit_code == 1
    number = str(event["event_id"])
    assert "1 events will be tried again" in run("stock", "retry-event", number, *why).output
    assert run("stock", "apply").exit_code == 1
    for command in ("retry-event", "skip-event"):
        assert run("stock", command, number).exit_code == 2, "a reason is required"
    assert "is skipped" in run("stock", "skip-event", number, *why).output
    assert json.loads(run("stock", "events", "--json").output) == []
    [(problem,)] = connection.execute("SELECT problem FROM order_events").fetchall()
    assert re.fullmatch(r"skipped by .+@.+: no such phone \(NumericValueOutOfRange\)", problem)
    for command in ("retry-event", "skip-event"):
        missing = run("stock", command, number, *why)
        assert missing.exit_code == 1
        assert f"There is no failed event {number}" in missing.output
    assert run("stock", "retry-event", "some", *why).exit_code == 2


def test_accounts_are_listed_and_checked(shop: Marketplace, tmp_path: Path) -> None:
    assert run("accounts", "list").exit_code == 0
    checked = run("accounts", "check")
    assert checked.exit_code == 0
    for endpoint in ("GET /ws/orders", "GET /ws/sav", "GET /ws/shipping/v1/deliveries"):
        assert re.search(rf"shop.*{endpoint} .*yes", checked.output), checked.output
    assert shop.calls() == 3
    shop.fault("status", path="/ws/sav", status=403, times=1)
    checked = run("accounts", "check", "shop")
    assert checked.exit_code == 1
    assert re.search(r"GET /ws/sav .*no .*lacks a right", checked.output), checked.output
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "defs.yaml").write_text("type: orders_sync.components.account.Account\nattributes: {}\n")
    result = run("accounts", "list")
    assert result.exit_code == 1
    assert "bad/defs.yaml: marketplace: is missing" in result.output.replace("\n", "")


def test_an_unknown_account_is_an_error_that_lists_the_accounts(shop: Marketplace) -> None:
    result = run("sync", "--type", "new", "--account", "ebay")
    assert result.exit_code == 1
    assert result.stderr == "Error: There is no account ebay; allowed are shop.\n"


def test_a_database_that_does_not_answer_is_reported_without_its_password(
    shop: Marketplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/orders")
    result = run("status")
    assert result.exit_code == 1
    assert "does not answer" in result.output
    assert "secret" not in result.output


@pytest.mark.usefixtures("shop")
def test_a_cutover_begins_shows_its_checks_and_does_not_advance_without_them(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = run("cutover", "begin")
    assert refused.exit_code == 1
    assert "accepting orders of shop, which" in refused.stderr
    settings = yaml.safe_load(v1.v1_file().read_text()) | {"accounts_without_v1": ["shop"]}
    file = tmp_path_factory.mktemp("v1") / "v1.yaml"
    file.write_text(yaml.safe_dump(settings))
    monkeypatch.setattr(v1, "v1_file", lambda: file)
    begun = run("cutover", "begin", "--reason", "a test")
    assert begun.exit_code == 0, begun.output
    assert " moved from live to parallel" in begun.stdout
    status = run("cutover", "status").stdout
    assert "checks before the phase after parallel" in status
    assert re.search(r"│ no +│", status), status
    assert "a test" in status  # the move with its reason
    advanced = run("cutover", "advance")
    assert advanced.exit_code == 1
    assert "Not ready; nothing was moved." in advanced.stderr
    assert re.search(r"^no .+: ", advanced.stderr, flags=re.MULTILINE)
    back = run("cutover", "back", "--reason", "a test")
    assert back.exit_code == 1
    assert back.stderr.startswith("Error: ")


def test_the_database_is_upgraded(shop: Marketplace) -> None:
    result = run("db", "upgrade")
    assert result.exit_code == 0
    assert f"The orders database is at revision {newest_revision()}." in result.output


def test_a_busy_lane_is_exit_code_3_in_every_command(database_url: str) -> None:
    @click.command()
    def work() -> None:
        with hold(Lane("shop", SyncType.NEW), "second"):
            pass

    group = OrdersSyncGroup(commands=[work])
    assert CliRunner().invoke(group, ["work"]).exit_code == 0
    with hold(Lane("shop", SyncType.NEW), "first"):
        result = CliRunner().invoke(group, ["work"])
    assert result.exit_code == 3
    assert result.stderr == "Error: Lane shop/new is busy: orders_sync shop/new first works on it.\n"


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        (["migrate"], ["db", "upgrade"], "The orders database is at revision"),
        (["migration", "status"], ["cutover", "status"], "Accounts of V1"),
        (["migration", "differences"], ["cutover", "differences"], "0 differences"),
        (["migration", "advance", "--force"], ["cutover", "advance", "--force"], ""),  # wrong usage
        (["migration", "advance"], ["cutover", "advance"], ""),  # fails: V2 is live already
        (["migration", "--help"], ["cutover", "--help"], "Move from V1 to V2"),
    ],
)
def test_the_old_name_of_a_command_does_the_same_and_names_the_new_one(
    database_url: str, old: list[str], new: list[str], part: str
) -> None:
    before, now = run(*old), run(*new)
    assert before.exit_code == now.exit_code
    assert before.stdout == now.stdout
    assert part in before.stdout
    hint = f"`orders-sync {old[0]}` is now `orders-sync {RENAMED[old[0]]}`. The old name ends with 0.3.\n"
    assert before.stderr == hint + now.stderr


def test_the_exit_codes_of_old_names_are_those_of_the_command(database_url: str) -> None:
    assert run("migrate").exit_code == 0
    assert run("migration", "advance", "--force").exit_code == 2
    assert run("migration", "advance").exit_code == 1


def test_old_names_are_not_listed() -> None:
    listed = re.findall(r"^  (\w+)  ", run("--help").output, flags=re.MULTILINE)
    assert "cutover" in listed
    assert not set(RENAMED) & set(listed)


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _commands(inner, (*path, name))


COMMANDS = dict(_commands(main))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_for_itself_and_its_options(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: {' '.join(('main', *path))} ")
    command = COMMANDS[path]
    assert command.help
    if path:  # the lists of commands show the first sentence, and cut it off when it is long
        assert command.get_short_help_str(limit=60).rstrip(".") == command.help.partition(".")[0]
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name


def test_there_is_help_for_all_commands() -> None:
    assert len(COMMANDS) > 25
    assert run("--version").output.startswith("main, version ")


def test_a_lane_is_rewound_with_a_reason(shop: Marketplace, connection: Connection) -> None:
    assert run("sync", "--type", "new").exit_code == 0
    done = run("lanes", "rewind", "shop/new", "--to", "2026-01-01", "--reason", "a wrong clock")
    assert done.exit_code == 0, done.output
    assert "is now 2026-01-01 00:00:00 UTC" in done.output
    stored = connection.execute("SELECT to_watermark, rewound_by, reason FROM watermark_rewinds").fetchone()
    assert stored is not None
    assert (stored[0].isoformat(), stored[2]) == ("2026-01-01T00:00:00+00:00", "a wrong clock")
    assert stored[1].endswith(f"@{socket.gethostname()}")
    undone = run("lanes", "rewind", "shop/new", "--to", "2026-02-01", "--reason", "too far")
    assert "was 2026-01-01 00:00:00 UTC and is now 2026-02-01 00:00:00 UTC" in undone.output
    connection.execute("DELETE FROM watermark_rewinds")
    beyond = run("lanes", "rewind", "shop/new", "--to", "2026-03-01", "--reason", "later")
    assert (beyond.exit_code, "is only set back" in beyond.stderr) == (1, True)


@pytest.mark.parametrize(
    "command", [("lanes", "rewind", "shop/new", "--reason", "x", "--to"), ("sync", "--type", "new", "--since"),
    ("sync", "--type", "modified", "--until")], ids=lambda command: command[-1],
)  # fmt: skip
@pytest.mark.parametrize(
    ("time", "problem"),
    [("0001-01-01", "lies before 2000-01-01"), ("1999-12-31", "lies before 2000-01-01"),
     ("9999-12-31", "lies in the future"), ("2026-13-01", "does not match the format")],
)  # fmt: skip
def test_a_time_that_no_record_can_have_is_a_clear_error(
    shop: Marketplace, connection: Connection, command: tuple[str, ...], time: str, problem: str
) -> None:
    wrong = run(*command, time)
    text = " ".join(wrong.output.replace("│", " ").split())
    assert (wrong.exit_code, problem in text) == (2, True), text
    if "lies" in problem:
        assert f"{time} {problem}; allowed is a time (UTC) from 2000-01-01 up to now." in text
    assert connection.execute("SELECT count(*) FROM lanes").fetchone() == (0,)


@pytest.mark.parametrize("lane", ["shop", "shop/old", "/new"])
def test_a_lane_has_an_account_and_a_sync(lane: str) -> None:
    wrong = run("lanes", "rewind", lane, "--to", "2026-01-01", "--reason", "why")
    assert wrong.exit_code == 2
    assert "allowed is ACCOUNT/SYNC, where SYNC is new, modified, care, incomplete" in " ".join(wrong.output.split())
