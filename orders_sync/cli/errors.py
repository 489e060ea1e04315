"""`orders-sync errors`: error answers of marketplaces, whole."""

import click

from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import console, print_as_it_is
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.cli.user import by_user
from orders_sync.config.bounds import ROW_ID
from orders_sync.database.opened import orders_database
from orders_sync.model.errors import UserFacingError

APPLICATION = "orders_sync errors"


@click.group()
def errors() -> None:
    """Show the error answers of marketplaces, whole.

    Messages and logs report only the published codes of such an answer, since its texts may quote a buyer's data. The
    newest 100 answers of each account are kept, without credentials.
    """


@errors.command("list")
@click.option("--account", type=ACCOUNT, help="Only answers to this account.")
@format_options
def list_answers(account: str | None, as_json: bool, as_csv: bool) -> None:
    """List the kept error answers, the newest one first."""
    from orders_sync.lanes.error_answers import KeptAnswer, kept_answers
    from orders_sync.marketplaces.kit.accounts import check_account_name

    with orders_database(APPLICATION) as connection:
        rows = kept_answers(connection, account)
    if not rows and account is not None:  # a removed account may have answers; a misspelled one has none
        check_account_name(account)
    if not rows and not as_json and not as_csv:
        console.print("No error answers.")
        return
    print_rows("Error answers", KeptAnswer._fields, [list(row) for row in rows], as_json=as_json, as_csv=as_csv)


@errors.command("show")
@click.argument("number", type=click.IntRange(*ROW_ID))
def show_answer(number: int) -> None:
    """Print a kept error answer whole.

    Its request, status, headers and body are printed as received, but for credentials. It may hold buyers' data:
    showing it is an act (`orders-sync acts`).
    """
    from orders_sync.acts.manual_acts import Act, On, note_act
    from orders_sync.lanes.error_answers import kept_answer

    with orders_database(APPLICATION) as connection:
        found = kept_answer(connection, number)
        if found is None:
            raise UserFacingError(
                f"There is no error answer {number}. `orders-sync errors list` shows those that are kept; old ones are "
                "deleted."
            )
        answer, headers, body = found
        note_act(connection, by_user(), Act.SHOW_ERROR_ANSWER, On(answer.account, other=f"error answer {number}"))
    lines = [
        f"{answer.account}/{answer.sync_type}, run {answer.run_id}, {answer.answered_at:%Y-%m-%d %H:%M:%S %Z}",
        f"{answer.method} {answer.path}: {answer.status} ({answer.times} {'time' if answer.times == 1 else 'times'})",
        *(f"{name}: {value}" for name, value in headers.items()),
        "",
        body.decode(errors="replace"),
    ]
    print_as_it_is("\n".join(lines))
    if len(body) < answer.body_bytes:
        console.print(f"… the first {len(body)} bytes of {answer.body_bytes}", markup=False)
