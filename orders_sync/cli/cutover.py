"""`orders-sync cutover`: the move from V1 to V2, phase by phase."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from rich.text import Text

from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, beside, console, print_error, print_warning, yes_or_no
from orders_sync.cli.rows import cell_text, json_option, print_json, print_rows, write_csv
from orders_sync.cli.tables import table
from orders_sync.cli.user import by_user
from orders_sync.config.bounds import V1_CHECK_DAYS
from orders_sync.database.opened import orders_database
from orders_sync.model.errors import UserFacingError
from orders_sync.model.time_words import moment

if TYPE_CHECKING:
    from orders_sync.config.v1 import CutoverSettings
    from orders_sync.cutover.phases import Move
    from orders_sync.cutover.readiness import Check
    from orders_sync.cutover.v1_check import V1Check
    from orders_sync.database.engine import Connection
    from orders_sync.lanes.authority import Phase

APPLICATION = "orders_sync cutover"
MAX_DIFFERENCES = 200
"""So many differences are shown at most; a file has all."""
V1_STATEMENT_SECONDS = 20
"""After so many seconds V1's server ends a statement of the check."""


@click.group()
def cutover() -> None:
    """Move from V1 to V2 in phases.

    V1 and V2 run side by side and are compared every day; then V1 is switched off. See docs/cutover.md.
    """


@cutover.command()
@json_option
def status(as_json: bool) -> None:
    """Show the phases, their checks, and comparisons.

    Shows also how many good days each account still needs.
    """
    from orders_sync.config.v1 import load_cutover_settings
    from orders_sync.cutover.phases import MEANING, moves
    from orders_sync.cutover.readiness import left_out_accounts
    from orders_sync.lanes.authority import current_authority

    settings = load_cutover_settings()
    with orders_database(APPLICATION) as connection:
        left_out = left_out_accounts(settings, current_authority(connection))
        accounts = _states(connection, settings)
        checks = _checks_by_phase(connection, settings, accounts)
        comparisons = connection.execute(
            "SELECT account, day, compared_at, compared_orders, agreement, correct, v2_later_seconds, calls_v1, "
            "calls_v2, verdict FROM (SELECT *, row_number() OVER (PARTITION BY account ORDER BY day DESC, "
            "comparison_id DESC) AS number FROM migration_comparisons) latest WHERE number <= 7 "
            "ORDER BY day DESC, account, comparison_id DESC"
        ).fetchall()
        made = moves(connection)
    if as_json:
        print_json(
            {
                "accounts": accounts,
                "left_out": left_out,
                "checks": [
                    {"phase": phase, "accounts": names, **check._asdict()}
                    for phase, names, of_phase in checks
                    for check in of_phase
                ],
                "comparisons": [dict(zip(_COMPARED, row, strict=True)) for row in comparisons],
                "moves": made,
            }
        )
        return
    shown = table("Accounts of V1", "account", "phase", "since (UTC)", "good days needed", "meaning")
    for each in accounts:
        since = moment(each.since) if each.since else "always"
        shown.add_row(each.account, each.phase, since, cell_text(each.good_days_needed), MEANING[each.phase])
    console.print(shown)
    for account in left_out:
        print_warning(
            f"V1 has the authority over {account}, so V2 accepts no orderlines, but {settings.file} names no "
            "marketplace of V1 for it. Write it under `marketplaces` again, and move it on."
        )
    for phase, names, of_phase in checks:
        shown = table(f"{', '.join(names)}: checks before the phase after {phase}", "check", "passed", "finding")
        for check in of_phase:
            shown.add_row(check.name, yes_or_no(check.passed), check.what)
        console.print(shown)
    if comparisons:
        shown = table(
            "Comparisons", "account", "day", "compared (UTC)", "agreement", "agree or V2 right", "V2 later", "calls V1",
            "calls V2", "verdict",
        )  # fmt: skip
        for account, day, at, _, agreement, correct, later, calls_v1, calls_v2, verdict in comparisons:
            lag = "-" if later is None else f"{float(later) / 60:.1f} min"
            calls = "-" if calls_v1 is None else str(calls_v1)
            per_cents = f"{agreement:.2f} %", f"{correct:.2f} %"
            shown.add_row(account, str(day), moment(at), *per_cents, lag, calls, str(calls_v2), verdict)
        console.print(shown)
    if made:
        shown = table("Moves", "at (UTC)", "account", "from", "to", "by", "forced", "reason")
        for move in made:
            forced = Text("yes", style="bold red") if move.forced else ""
            shown.add_row(
                moment(move.moved_at), move.account or "all", move.from_phase, move.to_phase, move.moved_by, forced,
                move.reason,
            )  # fmt: skip
        console.print(shown)


class _State(NamedTuple):
    """Where an account of V1 is in its cutover."""

    account: str
    phase: "Phase"
    since: datetime | None
    """None: it has never moved."""
    good_days_needed: int | None
    """None: V2 has the authority."""


def _states(connection: "Connection", settings: "CutoverSettings") -> list[_State]:
    from orders_sync.cutover.readiness import accounts_of, days_still_needed
    from orders_sync.lanes.authority import Phase, current_authority

    authority, today = current_authority(connection), datetime.now(UTC).date()
    states: list[_State] = []
    for account in accounts_of(settings):
        phase, since = authority.of(account).phase, authority.of(account).since
        needed = None if phase is Phase.LIVE else days_still_needed(connection, settings, [account], today)
        states.append(_State(account, phase, since, needed))
    return states


def _checks_by_phase(
    connection: "Connection", settings: "CutoverSettings", states: Sequence[_State]
) -> list[tuple["Phase", list[str], Sequence["Check"]]]:
    """The checks of the accounts that are in a phase, for each phase before live."""
    from orders_sync.cutover.readiness import checks_to_live, checks_to_monitor
    from orders_sync.lanes.authority import Phase

    found: list[tuple[Phase, list[str], Sequence[Check]]] = []
    for phase, checks in ((Phase.PARALLEL, checks_to_monitor), (Phase.MONITOR, checks_to_live)):
        if names := [state.account for state in states if state.phase is phase]:
            found.append((phase, names, checks(connection, settings, names)))
    return found


_COMPARED = (
    "account", "day", "compared_at", "compared_orders", "agreement_percent", "correct_percent", "v2_later_seconds",
    "calls_v1", "calls_v2", "verdict",
)  # fmt: skip

accounts_option = click.option(
    "--account",
    "names",
    type=ACCOUNT,
    multiple=True,
    help="Move this account; by default all of V1's accounts that are in a cutover. May be repeated.",
)


@cutover.command()
@click.option(
    "--account", "names", type=ACCOUNT, multiple=True, help="An account of V1; by default all. May be repeated."
)
@click.option("--reason", default="V1 and V2 side by side", show_default=True, help="Reason, recorded with the move.")
def begin(names: tuple[str, ...], reason: str) -> None:
    """Begin a cutover.

    V1 has the authority over the accounts. V2 goes on with all others, and acts for these on nothing outside its own
    tables.
    """
    from orders_sync.cutover.moves import begin as run

    _move(lambda connection, settings: run(connection, settings, by_user(reason), names))


@cutover.command()
@accounts_option
@click.option("--force", is_flag=True, help="Move although checks do not pass; needs --reason.")
@click.option("--reason", default="", help="Reason, recorded with the move.")
def advance(names: tuple[str, ...], force: bool, reason: str) -> None:
    """Move to the next phase, if its checks pass.

    The move to live takes over V1's stock locks. With the last account it switches V1's schedules off.
    """
    from orders_sync.cutover.moves import NotReadyError, accounts_in
    from orders_sync.cutover.moves import advance as run
    from orders_sync.dagster_instance.automation import v1_off, v1_schedules_on
    from orders_sync.dagster_instance.instance import open_instance

    if force and not reason:
        raise click.UsageError("--force needs --reason, which is recorded with the move.")

    def forward(connection: "Connection", settings: "CutoverSettings") -> "list[Move]":
        with open_instance() as instance:
            return run(
                connection, settings, accounts_in(connection, settings, names), by_user(reason or "the checks pass"),
                force=force, v1_off=lambda: v1_off(instance), v1_schedules_on=lambda: v1_schedules_on(instance),
            )  # fmt: skip

    try:
        _move(forward)
    except NotReadyError as problem:
        for check in problem.checks:
            beside.print(yes_or_no(check.passed), f"{check.name}: {check.what}", markup=False)
        print_error("Not ready; nothing was moved. `--force --reason WHY` moves in spite of the checks.")
        sys.exit(EXIT_FAILED)


@cutover.command()
@accounts_option
@click.option("--reason", required=True, help="Reason, recorded with the move.")
def back(names: tuple[str, ...], reason: str) -> None:
    """Move back to the first phase, at any time.

    V1 has the authority over the accounts again.
    """
    from orders_sync.cutover.moves import accounts_to_move_back
    from orders_sync.cutover.moves import back as run

    _move(
        lambda connection, settings: run(
            connection, accounts_to_move_back(connection, settings, names), by_user(reason)
        )
    )
    console.print("If Dagster runs V1's commands, see in the UI under Automation that their schedules are on.")


@cutover.command()
@click.option(
    "--day",
    "days",
    type=click.DateTime(["%Y-%m-%d"]),
    multiple=True,
    help="UTC day on which either side touched the orders, yesterday by default. May be repeated.",
)
@click.option(
    "--account",
    "names",
    type=ACCOUNT,
    multiple=True,
    help="Compare this account, all accounts of V1 by default. May be repeated.",
)
@json_option
def compare(days: tuple[datetime, ...], names: tuple[str, ...], as_json: bool) -> None:
    """Compare V1 and V2 now.

    Compared are the orders that either touched on a day, those that differed before, and those of an earlier day,
    another one for each day. What differs is verified against the marketplace.
    """
    from orders_sync.config.environment import v1_file
    from orders_sync.config.v1 import CutoverError, load_cutover_settings
    from orders_sync.cutover.comparison import STATEMENT_SECONDS, Comparison, compare_day
    from orders_sync.cutover.v1_database import V1Database
    from orders_sync.marketplaces.kit.accounts import check_account_name

    settings = load_cutover_settings()
    chosen: list[date] = [day.date() for day in days] or [datetime.now(UTC).date() - timedelta(days=1)]
    of_v1 = set(settings.marketplaces.values())
    for name in names:
        check_account_name(name)
        if name not in of_v1:
            raise UserFacingError(f"V1 has no account {name}; those of {v1_file()} are {', '.join(sorted(of_v1))}.")
    made: list[Comparison] = []
    problems: list[str] = []
    with V1Database(settings, STATEMENT_SECONDS) as v1, orders_database("orders_sync comparison") as connection:
        for account in names or sorted(of_v1):
            for day in chosen:
                try:
                    made.append(compare_day(connection, v1, settings, account, day, by=by_user()))
                except CutoverError as problem:
                    problems.append(f"{account} {day}: {problem}")
    columns = [
        "account",
        "day",
        "orders",
        "agreement_percent",
        "correct_percent",
        "in_flight",
        "locks_differ",
        "verdict",
    ]
    rows = [
        [
            one.account, one.day, one.compared_orders, one.agreement if as_json else f"{one.agreement:.2f}",
            one.correct if as_json else f"{one.correct:.2f}", one.in_flight, one.locks_differing, one.verdict,
        ]
        for one in made
    ]  # fmt: skip
    print_rows("Comparison", columns, rows, as_json=as_json, as_csv=False)
    for one in made:
        for finding in one.findings:
            print_warning(f"{one.account}: {finding.count} × {finding.kind}: {finding.what}")
        if one.not_verified:
            print_warning(f"{one.account}: not all differences were verified: {one.not_verified}")
    for problem in problems:
        print_error(problem)
    if problems:
        sys.exit(EXIT_FAILED)


@cutover.command()
@click.option(
    "--csv", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write all differences to this file."
)
@click.option(
    "--day", type=click.DateTime(["%Y-%m-%d"]), help="Those of the last comparison of this UTC day, not of the latest."
)
@click.option(
    "--in-flight",
    is_flag=True,
    help="Include differences that do not count, since one side could not have the data yet.",
)
@json_option
def differences(file: Path | None, day: datetime | None, in_flight: bool, as_json: bool) -> None:
    """List the differences between V1 and V2, one per field.

    They are those of each account's latest comparison, which compares anew what differed before.
    """
    from orders_sync.config.v1 import load_cutover_settings

    load_cutover_settings()  # says so if no V1 is configured
    columns = [
        "account", "day", "order_id", "item_id", "kind", "field", "v1", "v2", "right", "first_found_at", "in_flight",
    ]  # fmt: skip
    if file is not None and as_json:
        raise click.UsageError("--json and --csv exclude each other.")
    with orders_database(APPLICATION) as connection:
        rows = connection.execute(
            """
            SELECT account, day, order_id, item_id, kind, field, v1, v2, right_side, first_found_at, in_flight
            FROM migration_differences
            WHERE comparison_id IN (SELECT max(comparison_id) FROM migration_comparisons
              WHERE %(day)s::date IS NULL OR day = %(day)s GROUP BY account) AND (%(all)s OR NOT in_flight)
            ORDER BY account, order_id, item_id, kind, field
            """,
            {"day": day.date() if day else None, "all": in_flight},
        ).fetchall()
    if file is not None:
        with file.open("w", newline="", encoding="utf-8") as opened:
            write_csv(opened, columns, rows)
        console.print(f"{len(rows)} differences written to {file}.", markup=False)
        return
    shown = rows if as_json else rows[:MAX_DIFFERENCES]
    print_rows(f"{len(rows)} differences", columns, shown, as_json=as_json, as_csv=False)
    if len(shown) < len(rows):
        print_warning(f"Only the first {len(shown)} are shown; --csv FILE writes all.")


@cutover.command()
@click.option(
    "--days", type=click.IntRange(*V1_CHECK_DAYS), default=7, show_default=True, help="Orders of so many days."
)
@json_option
def check(days: int, as_json: bool) -> None:
    """Check the mapping of V1 and its rows.

    Reads V1's database, changes nothing, and shows which of its orders count, whether zone and clock are right, what is
    odd, and what can't be compared. The exit code is 1 where something must be corrected.
    """
    from rich.text import Text

    from orders_sync.config.v1 import load_cutover_settings
    from orders_sync.cutover.v1_check import check_v1
    from orders_sync.cutover.v1_database import V1Database
    from orders_sync.marketplaces.kit.accounts import account_names

    settings = load_cutover_settings()
    end = datetime.now(UTC)
    with (
        beside.status("") as progress,
        V1Database(settings, statement_seconds=V1_STATEMENT_SECONDS) as v1,
        orders_database(APPLICATION) as connection,
    ):
        made = check_v1(
            v1, connection, account_names(), end - timedelta(days=days), end,
            lambda what: progress.update(Text(f"V1: {what}")),
        )  # fmt: skip
    if as_json:
        print_json(made)
    else:
        _show_check(made)
    sys.exit(EXIT_FAILED if made.problems else EXIT_DONE)


def _show_check(made: "V1Check") -> None:
    from orders_sync.cutover.v1_check import utc_offset

    shown = table(
        "V1's orders", "marketplace", "account", "rows", "left out by where", "without id", "recent", "also in V2",
        "times", optional=("times", "without id"),
    )  # fmt: skip
    for each in made.marketplaces:
        shown.add_row(
            each.marketplace, each.account or "not mapped", str(each.rows), str(each.left_out_by_where),
            str(each.without_id), str(each.recent), cell_text(each.in_v2), utc_offset(each.offset),
        )  # fmt: skip
    console.print(shown)
    zone = made.zone
    if zone.measured.pairs == 0:
        console.print(
            f"Zone: {zone.configured}; V2 has none of these orders yet, so it can't be measured.", markup=False
        )
    else:
        console.print(
            f"Zone: {zone.configured} is right for {zone.right} of {zone.measured.pairs} orders; most are at "
            f"{utc_offset(zone.measured.offset)}.",
            markup=False,
        )
    if (clock := made.clock) is not None:
        console.print(
            f"Clock: V1's server is {clock.seconds:+.1f} s from ours (within {clock.uncertain_seconds:.1f} s); "
            f"{clock.seen_before_ordered} of {clock.seen} orders were seen before they were ordered.",
            markup=False,
        )
    if made.odd:
        odd = table("Odd rows", "account", "what", "rows", "examples", "meaning", optional=("examples",))
        for account, finding in made.odd:
            examples = "; ".join(finding.examples)
            odd.add_row(account or "-", finding.kind, str(finding.count), examples, finding.what)
        console.print(odd)
    if made.not_compared:
        missing = table("Not compared", "what", "why")
        for each in made.not_compared:
            missing.add_row(each.what, each.why)
        console.print(missing)
    if made.unmapped_marketplaces:
        console.print(
            f"Not mapped, so not compared: V1's marketplaces {', '.join(made.unmapped_marketplaces)}.", markup=False
        )
    if made.accounts_without_v1:
        console.print(f"Accounts without a marketplace of V1: {', '.join(made.accounts_without_v1)}.", markup=False)
    if made.overridden:
        console.print(f"v1.yaml overrides its preset at: {', '.join(made.overridden)}.", markup=False)
    for problem in made.problems:
        print_error(problem)
    if not made.problems:
        console.print("V1 can be read as v1.yaml says.")


def _move(move_phase: "Callable[[Connection, CutoverSettings], list[Move]]") -> None:
    """Moves accounts, prints the moves, and reports them as events of the assets."""
    from orders_sync.config.v1 import load_cutover_settings
    from orders_sync.cutover.phases import MEANING
    from orders_sync.dagster_instance.cutover_assets import events_of
    from orders_sync.dagster_instance.instance import open_instance

    settings = load_cutover_settings()
    with orders_database(APPLICATION) as connection:
        made = move_phase(connection, settings)
    for move in made:
        console.print(
            f"{move.account} moved from {move.from_phase} to {move.to_phase}: {MEANING[move.to_phase]}.", markup=False
        )
        _show_not_taken(move)
    with open_instance() as instance:
        for event in events_of(made):
            instance.report_runless_asset_event(event)


def _show_not_taken(move: "Move") -> None:
    if not move.not_taken:
        return
    shown = table(
        f"{move.account}: {len(move.not_taken)} locks of V1 were not taken over: the items need none, or V2 lacks them",
        "order", "item", "status in V2",
    )  # fmt: skip
    for lock in move.not_taken[:MAX_DIFFERENCES]:
        shown.add_row(lock["order_id"] or "-", lock["item_id"], lock["status"])
    console.print(shown)
