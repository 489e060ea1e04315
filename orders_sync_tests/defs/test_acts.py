"""Every job of Dagster writes an act when a person runs it, or is listed with the reason why it is none."""

import dagster as dg

from orders_sync.acts.manual_acts import Act

ACTS = {
    "sync_new_orders": Act.SYNC,
    "sync_modified_orders": Act.SYNC,
    "sync_care_records": Act.SYNC,
    "sync_incomplete_orders": Act.SYNC,
    "apply_order_events": Act.APPLY_EVENTS,
    "adjust_stock": Act.ADJUST_STOCK,
    "import_stock": Act.IMPORT_STOCK,
    "reread_order": Act.SYNC_ORDER,
    "retry_rejected": Act.RETRY_REJECTED,
    "decide_lock": Act.LOCK_ITEM,
    "settle_held": Act.HELD_HAS_LEFT,
    "return_stock": Act.RETURN_TO_STOCK,
    "receive_stock": Act.RECEIVE_PIECES,
    "put_away_stock": Act.PUT_AWAY,
    "retry_events": Act.RETRY_EVENTS,
    "skip_event": Act.SKIP_EVENT,
    "repair_locks": Act.REPAIR_LOCKS,
    "pause_account": Act.PAUSE_ACCOUNT,
    "resume_account": Act.RESUME_ACCOUNT,
    "blank_old_buyer_data": Act.BLANK_BUYERS_DATA,
    "prune_old_history": Act.PRUNE_HISTORY,
    "compare_v1_and_v2": Act.COMPARE_V1_AND_V2,
    "cutover_begin": Act.MOVE_CUTOVER,
    "cutover_advance": Act.MOVE_CUTOVER,
    "cutover_back": Act.MOVE_CUTOVER,
}
OTHERS = {
    "check_orders": "It only reads.",
    "check_whole_tables": "It only reads.",
    "explain_lock": "It only reads.",
    "explain_order": "It only reads.",
    "check_account": "It only reads at the marketplace.",
    "daily_reports": "It computes a table from the others, as often as it likes.",
    "refresh_latest": "It runs V1, which has its own records; V2's tables stay as they are.",
    "refresh_new": "It runs V1, which has its own records; V2's tables stay as they are.",
    "refresh_orders": "It runs V1, which has its own records; V2's tables stay as they are.",
}


def test_every_job_is_classified(definitions: dg.Definitions) -> None:
    """A new job fails here until it writes an act, or has the reason why it is none."""
    jobs = {job.name for job in definitions.get_repository_def().get_all_jobs() if not job.name.startswith("__")}
    assert jobs == ACTS.keys() | OTHERS.keys()
