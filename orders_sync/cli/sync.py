"""`orders-sync sync`: one sync now (V1: `php artisan v2:sync-orders`)."""

import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

import click

from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import EXIT_BUSY, EXIT_DONE, EXIT_FAILED, beside, console, print_error, print_warning
from orders_sync.cli.past_time import PastTime
from orders_sync.cli.rows import json_option, print_json
from orders_sync.cli.tables import table
from orders_sync.cli.user import by_user
from orders_sync.config.account import SellerAccount
from orders_sync.config.bounds import DAYS_BACK, LANE_WAIT_SECONDS, PAGE_SIZE
from orders_sync.database.opened import orders_database
from orders_sync.lanes.lock import LaneBusyError
from orders_sync.model.lane import SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.run_pass import PassFailedError, run_pass
from orders_sync.sync.pass_request import PassRequest

MAX_NAMED = 5
"""So many records with the same problem are named."""
SUMMARY_COLUMNS = (
    "fetched",
    "created",
    "changed",
    "unchanged",
    "rejected",
    "events",
    "accepted",
    "refusals",
    "documents_found",
    "documents_stored",
    "api_calls",
)


@click.command()
@click.option(
    "--type", "sync_type", type=click.Choice([*(t.value for t in SyncType), "all"]),
    help="Type of the sync; `all` runs new, modified, care and incomplete, in this order.",
)  # fmt: skip
@click.option(
    "--order", "order_id", metavar="ID", help="Fetch this one order of an account, instead of --type; needs --account."
)
@click.option(
    "--account", "names", type=ACCOUNT, multiple=True,
    help="Sync this account, all accounts by default. May be repeated.",
)  # fmt: skip
@click.option(
    "--since", type=PastTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="Fetch orders from this moment (UTC) on; from the watermark by default.",
)  # fmt: skip
@click.option(
    "--until", type=PastTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="Skip orders after this moment (UTC); none by default.",
)  # fmt: skip
@click.option("--page-size", type=click.IntRange(*PAGE_SIZE), help="Orders per page, that is per API call.")
@click.option("--days-back", type=click.IntRange(*DAYS_BACK), help="How far `incomplete` looks back, in days.")
@click.option("--reread", is_flag=True, help="Compare every record with the stored one, value by value.")
@click.option(
    "--wait", type=click.IntRange(*LANE_WAIT_SECONDS), default=0, show_default=True,
    help="Wait up to this many seconds for a busy lane.",
)  # fmt: skip
@json_option
def sync(
    sync_type: str | None,
    order_id: str | None,
    names: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    page_size: int | None,
    days_back: int | None,
    reread: bool,
    wait: int,
    as_json: bool,
) -> None:
    """Run a sync now, in this process, and print a summary.

    Records that were rejected are grouped by reason.

    Exit code 1 if a sync failed, 3 if its lane was busy. A failure of one account, or an invalid order, does not stop
    the others.

    A sync that could not fetch some records or documents is partial: exit code 0, with a warning. A later sync fetches
    them. The records are on the list of `orders-sync rejected`.

    Records that are unchanged at the marketplace are skipped. With --reread they are not: use it after rows were
    damaged or changed by hand, or to see the flaws of all records again.

    With --order, one order is fetched by its id and stored as a sync of new orders would. Exit code 1 if it is
    rejected. The next sync of new orders accepts its waiting orderlines.
    """
    from orders_sync.database.schema import check_schema
    from orders_sync.marketplaces.kit.accounts import find_account, load_accounts
    from orders_sync.passes.sync_log import log_to_file

    if (sync_type is None) == (order_id is None):
        raise click.UsageError("Name either a sync by --type, or an order by --order.")
    if order_id is not None:
        if not order_id.strip():
            raise click.UsageError("--order is empty; it takes the marketplace's id of one order.")
        if since or until or page_size or days_back:
            raise click.UsageError("--order goes with --account, --reread and --wait only.")
        if len(names) != 1:
            raise click.UsageError("--order needs one --account.")
        _sync_order(names[0], order_id, reread=reread, wait=wait, as_json=as_json)
        return
    if since and until and since >= until:
        raise click.UsageError(f"--since {since:%Y-%m-%d %H:%M} must lie before --until {until:%Y-%m-%d %H:%M}.")
    check_schema()
    if names:
        accounts, problems = {name: find_account(name) for name in names}, {}
    else:
        accounts, problems = load_accounts()
    exit_code = EXIT_FAILED if problems else EXIT_DONE
    for problem in problems.values():
        print_error(problem)
    accounts = _without_paused(accounts, are_named=bool(names))
    types = list(SyncType) if sync_type == "all" else [SyncType(sync_type)]
    results: list[tuple[str, PassSummary]] = []
    with log_to_file():
        for name, account in accounts.items():
            for chosen in types:
                run_id = f"cli-{uuid.uuid4().hex[:8]}"
                request = PassRequest(
                    account,
                    chosen,
                    run_id,
                    start=since,
                    end=until,
                    page_size=page_size,
                    days_back=days_back,
                    reread=reread,
                    lane_wait_seconds=wait,
                    by=by_user(run_id=run_id),
                )
                code, summary = run_with_progress(request)
                exit_code = exit_code or code
                if summary is not None:
                    results.append((f"{name}/{chosen}", summary))
    _print_summary(results, as_json=as_json)
    sys.exit(exit_code)


def _without_paused(accounts: Mapping[str, SellerAccount], *, are_named: bool) -> dict[str, SellerAccount]:
    """The accounts to sync. One that a person has paused is synced only if it is named."""
    from orders_sync.lanes.pauses import paused_accounts

    with orders_database("orders_sync sync") as connection:
        paused = paused_accounts(connection)
    for name in accounts.keys() & paused.keys():
        print_warning(f"{paused[name]} {'It is synced now, since you name it.' if are_named else 'It is left out.'}")
    return {name: account for name, account in accounts.items() if are_named or name not in paused}


def _sync_order(name: str, order_id: str, *, reread: bool, wait: float, as_json: bool) -> None:
    from orders_sync.database.schema import check_schema
    from orders_sync.marketplaces.kit.accounts import find_account
    from orders_sync.passes.sync_log import log_to_file
    from orders_sync.passes.sync_order import sync_order

    check_schema()
    run_id = f"cli-{uuid.uuid4().hex[:8]}"
    with log_to_file():
        summary = sync_order(
            find_account(name), order_id.strip(), run_id, by=by_user(run_id=run_id), reread=reread, wait_seconds=wait
        )
    _print_summary([(f"{name}, order {order_id}", summary)], as_json=as_json)
    sys.exit(EXIT_FAILED if summary.rejected else EXIT_DONE)


def run_with_progress(request: PassRequest) -> tuple[int, PassSummary | None]:
    """Runs one pass and shows its progress. Returns the exit code, and the summary when the pass succeeded."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    lane = f"{request.account.name}/{request.sync_type}"
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=12),
        TextColumn("{task.fields[so_far]}", markup=False), TimeElapsedColumn(), console=beside, transient=True,
        disable=not beside.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(lane, total=None, so_far="waiting for the marketplace")

        def show(summary: PassSummary) -> None:
            so_far = f"{summary.fetched} fetched, {summary.created} created, {summary.changed} changed"
            progress.update(task, so_far=f"{so_far}, {summary.api_calls} calls")

        request.progress = show
        try:
            return EXIT_DONE, run_pass(request)
        except LaneBusyError as busy:
            print_warning(busy)
            return EXIT_BUSY, None
        except PassFailedError as problem:
            print_error(problem)
            return EXIT_FAILED, None


def partial_warning(lane: str, summary: PassSummary) -> str:
    """What a person should know about a partial pass."""
    where = "`orders-sync rejected` shows the records"
    if summary.documents_put_off:
        where += ", `orders-sync documents list` the documents of an order"
    return f"{lane}: partial: {summary.put_off_in_words()} could not be fetched. A later sync tries again; {where}."


def _print_summary(results: Sequence[tuple[str, PassSummary]], *, as_json: bool) -> None:
    if as_json:
        print_json([{"lane": lane, **asdict(summary)} for lane, summary in results])
    elif results:
        summary_table = table("Summary", "lane", *SUMMARY_COLUMNS, "throttled s", "seconds", optional=_LEFT_OUT_FIRST)
        for lane, summary in results:
            summary_table.add_row(
                lane,
                *(str(getattr(summary, name)) for name in SUMMARY_COLUMNS),
                f"{summary.throttled_seconds:.1f}",
                f"{summary.seconds:.1f}",
            )
        console.print(summary_table)
    for lane, summary in results:
        if summary.is_partial:
            print_warning(partial_warning(lane, summary))
        for problem in grouped_problems(summary.problems):
            print_warning(f"{lane}: {problem}")


_LEFT_OUT_FIRST = (
    "throttled s", "documents_stored", "documents_found", "refusals", "unchanged", "events", "accepted", "api_calls",
    "seconds",
)  # fmt: skip


def grouped_problems(problems: Sequence[str]) -> list[str]:
    """The problems of a pass, those of records with the same reasons in one line. The most frequent come first."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for problem in problems:
        of_record = _RECORD.fullmatch(problem)
        record, what, reasons = of_record.groups() if of_record else ("", "", problem)
        groups.setdefault((what, _without_place(reasons)), []).append((record, problem))
    lines: list[str] = []
    for (what, reasons), found in sorted(groups.items(), key=lambda group: -len(group[1])):
        if len(found) == 1 or not what:
            lines.append(found[0][1])
            continue
        named = ", ".join(record for record, _ in found[:MAX_NAMED])
        more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
        lines.append(f"{len(found)} records {what}: {reasons}: {named}{more}")
    return lines


_RECORD = re.compile(r"((?:order|care record) .*?) (rejected|put off): (.*)")
"""The problem of a record, as RejectedRecord.one_line writes it."""


def _without_place(reasons: str) -> str:
    """Reasons without positions in lists and without values that were found, as `orders-sync rejected` groups them."""
    return re.sub(r": '[^']*'(?=;|$)", "", re.sub(r"\[\d+\]", "[]", reasons))
