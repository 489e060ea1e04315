"""`orders-sync status`: how each lane stands."""

import json as json_module

import click

from orders_sync.cli.output import console, moment, span, table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def status(as_json: bool) -> None:
    """Show each lane: watermark, last run, lag, rejected records, and who works on it now."""
    from orders_sync.database.engine import connect
    from orders_sync.database.schema import upgrade_schema
    from orders_sync.lanes.history import lane_states
    from orders_sync.marketplaces.kit.accounts import load_accounts

    upgrade_schema()
    accounts, problems = load_accounts()
    with connect() as connection:
        known = lane_states(connection, list(accounts))
        rejected = dict(
            connection.execute(
                "SELECT account, count(*) FROM rejected_records WHERE resolved_at IS NULL GROUP BY account"
            ).fetchall()
        )
    if as_json:
        rows = [
            {
                "account": state.lane.account,
                "sync_type": state.lane.sync_type.value,
                "watermark": state.watermark.isoformat() if state.watermark else None,
                "lag_seconds": state.lag(),
                "last_outcome": state.last_outcome,
                "last_problem": state.last_problem,
                "rejected": rejected.get(state.lane.account, 0),
                "busy_with": state.holder,
            }
            for state in known
        ]
        click.echo(json_module.dumps(rows, indent=2))
        return
    shown = table(
        "Lanes",
        "lane",
        "watermark (UTC)",
        "lag",
        "last run",
        "outcome",
        "created",
        "changed",
        "rejected",
        "now",
    )
    for state in known:
        shown.add_row(
            str(state.lane),
            moment(state.watermark),
            span(state.lag()),
            moment(state.last_started_at),
            state.last_problem or state.last_outcome or "never ran",
            str(state.last_summary.get("created", "-")),
            str(state.last_summary.get("changed", "-")),
            str(rejected.get(state.lane.account, 0)),
            state.holder or "idle",
        )
    console.print(shown)
    for problem in problems.values():
        console.print(f"[red]{problem}[/red]")
