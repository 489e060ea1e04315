"""`orders-sync redecode`: decode stored raw records again, after an adapter was corrected."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import console, print_warning
from orders_sync.cli.past_time import PastTime
from orders_sync.cli.rows import format_options, print_rows, value_text
from orders_sync.cli.user import by_user

if TYPE_CHECKING:  # imported only by the command
    from orders_sync.sync.redecode import Difference

_NOT_SHOWN = "(not shown)"


@click.command()
@click.option("--account", "name", type=ACCOUNT, required=True, help="The account whose records are decoded again.")
@click.option(
    "--since", type=PastTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="Only orders created, and care records opened, from this moment (UTC) on; all by default.",
)  # fmt: skip
@click.option("--list", "as_list", is_flag=True, help="List each difference, instead of a group for each field.")
@click.option("--yes", "write", is_flag=True, help="Store the differences. Without it, nothing is stored.")
@format_options
def redecode(name: str, since: datetime | None, as_list: bool, write: bool, as_json: bool, as_csv: bool) -> None:
    """Decode stored records again; show what differs.

    For a corrected adapter: the rows of orders and care records become what it makes of the stored raw records. Nothing
    is fetched. With --yes the differences are stored; a change of a status that was missed is an event, and nothing
    else is. Raw records, URLs of documents and what the retention has blanked stay as they are.

    A record that the adapter would reject now stays as it is, with a warning. Exit code 3 if a run works on a lane of
    the account.
    """
    from orders_sync.database.schema import check_schema
    from orders_sync.marketplaces.kit.accounts import find_account
    from orders_sync.passes.redecode import redecode_account
    from orders_sync.passes.sync_log import log_to_file

    account = find_account(name)
    check_schema()
    run_id = f"cli-{uuid.uuid4().hex[:8]}"
    with log_to_file():
        outcome = redecode_account(account, run_id, since=since, write=write, by=by_user(run_id=run_id))
    names, rows = _listed(outcome.differences) if as_list else _grouped(outcome.differences)
    if rows or as_json or as_csv:
        print_rows("Differences", names, rows, as_json=as_json, as_csv=as_csv)
    if as_json or as_csv:
        return
    console.print(
        f"{name}: {outcome.orders} orders and {outcome.care_records} care records were decoded again. "
        f"{outcome.changed_orders} orders and {outcome.changed_care_records} care records differ; "
        f"changes of a status that were missed: {outcome.events}.",
        markup=False,
    )
    for problem in outcome.problems:
        print_warning(f"{name}: {problem}. It stays as it is stored.")
    if write:
        console.print(f"The differences are stored, and {outcome.events} events are written.", markup=False)
    elif rows:
        console.print("Nothing is stored: --yes stores the differences.")


def _listed(differences: "Sequence[Difference]") -> tuple[list[str], list[list[Any]]]:
    names = ["kind", "id", "item", "field", "before", "after"]
    return names, [[one.kind, one.record_id, one.item_id, one.field, *_values(one)] for one in differences]


def _grouped(differences: "Sequence[Difference]") -> tuple[list[str], list[list[Any]]]:
    """The differences by field, the most frequent first, each with its first record as the example."""
    groups: dict[tuple[str, str], list[Difference]] = {}
    for one in differences:
        groups.setdefault((one.kind, f"items.{one.field}" if one.item_id else one.field), []).append(one)
    rows = [
        [kind, column, len(found), found[0].record_id, *_values(found[0])] for (kind, column), found in groups.items()
    ]
    return ["kind", "field", "differences", "example", "before", "after"], sorted(rows, key=lambda row: -row[2])


def _values(difference: "Difference") -> tuple[str | None, str | None]:
    if difference.is_named_only:
        return _NOT_SHOWN, _NOT_SHOWN
    return value_text(difference.before), value_text(difference.after)
