"""Each account has a phase of its own in the cutover, and all accounts share one stock

The schema `shadow` had the locks of the whole project while V1 had the authority. They move to `public`, where a lock of
an account that V1 has is V1's. The release before works with this schema wherever no cutover is under way: its tables in
`shadow` stay, empty, and a later revision drops them.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0040"
down_revision = "0039"
works_with = "0027"

_UNUSED = "Unused since revision 0040; a later one drops it."
_STOCK = (
    ("stock_levels", None),
    ("stock_locks", None),
    ("stock_lock_history", "entry_id"),
    ("stock_movements", "movement_id"),
)


def upgrade() -> None:
    op.add_column(
        "migration_moves",
        sa.Column(
            "account", sa.Text, nullable=False, server_default="",
            comment="Name of the seller account that moved; '': all accounts, before revision 0040.",
        ),
    )  # fmt: skip
    op.add_column(
        "migration_moves",
        sa.Column(
            "not_taken", JSONB, nullable=False, server_default=sa.text("'[]'"),
            comment="V1's locks that V2 did not take over, since their items need none: a list of {order_id, item_id, "
            "status}.",
        ),
    )  # fmt: skip
    op.create_table(
        "migration_v1_writes",
        sa.Column(
            "account", sa.Text, primary_key=True,
            comment="Name of the seller account: the name of the folder of its account file.",
        ),
        sa.Column(
            "orders", sa.Integer, nullable=False,
            comment="Number of the account's orders that V1 has written since V2 has taken the account over.",
        ),
        sa.Column(
            "looked_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(),
            comment="When V1 was looked at last, by our clock.",
        ),
        comment="Whether V1 stays off, one row per account that V2 has taken over: the check v1_stays_off looks each "
        "hour.",
    )  # fmt: skip
    op.execute(
        "COMMENT ON TABLE migration_moves IS 'One row per move of an account between phases of the cutover from V1 to "
        "V2.'"
    )
    op.execute(_AUTHORITY)
    op.execute(_note_locks("public.is_account_live(added.account)", "public.is_account_live(now.account)"))
    op.execute("DROP INDEX IF EXISTS order_events_shadow_pending")
    phase = op.get_bind().execute(sa.text("SELECT to_phase FROM migration_moves ORDER BY move_id DESC LIMIT 1"))
    if (phase.scalar() or "live") == "live":
        for table, _ in _STOCK:
            op.execute(f"DELETE FROM shadow.{table}")  # noqa: S608 - the names are constants
    else:
        _move_out_of_shadow()
    for column in ("shadow_applied_at", "shadow_attempts", "shadow_problem"):
        op.alter_column("order_events", column, comment=_UNUSED)
    op.alter_column("stock_available_position", "schema_name", comment="public; empty: all numbers are computed anew.")


def _move_out_of_shadow() -> None:
    for table, key in _STOCK:
        op.execute(f"DELETE FROM public.{table}")  # noqa: S608 - the names are constants
        op.execute(  # as above
            f"INSERT INTO public.{table} OVERRIDING SYSTEM VALUE SELECT * FROM shadow.{table}"  # noqa: S608
        )
        if key is not None:
            number = f"{table}_{key}_seq"
            op.execute(f"SELECT setval('public.{number}', nextval('shadow.{number}'))")
    op.execute(
        "UPDATE public.order_events SET applied_at = shadow_applied_at, attempts = shadow_attempts, "
        "problem = shadow_problem WHERE (applied_at, attempts, problem) IS DISTINCT FROM "
        "(shadow_applied_at, shadow_attempts, shadow_problem)"
    )
    op.execute("UPDATE stock_available_position SET schema_name = NULL")
    # The release before would find an empty stock there, and take it over.
    op.execute("DROP VIEW shadow.order_events")
    for table, _ in _STOCK:
        op.execute(f"DROP TABLE shadow.{table}")


def downgrade() -> None:
    """The moves stay, as those of all accounts. Raises RuntimeError while V1 has an account."""
    is_under_way = sa.text("SELECT bool_or(NOT is_account_live(account)) FROM migration_moves")
    if op.get_bind().execute(is_under_way).scalar():
        raise RuntimeError("A cutover is under way: end it, and downgrade then.")
    for table, _ in _STOCK:
        op.execute(f"CREATE TABLE IF NOT EXISTS shadow.{table} (LIKE public.{table} INCLUDING ALL)")
    op.execute(_note_locks("true", "true"))
    op.execute("DROP FUNCTION is_account_live")
    op.drop_table("migration_v1_writes")
    op.drop_column("migration_moves", "account")
    op.drop_column("migration_moves", "not_taken")


def _note_locks(added: str, changed: str) -> str:
    return _NOTE_LOCKS.replace("{added}", added).replace("{changed}", changed)


_AUTHORITY = """
CREATE FUNCTION is_account_live(of_account text) RETURNS boolean LANGUAGE sql STABLE AS $$
SELECT coalesce((
  SELECT to_phase FROM public.migration_moves WHERE account IN (of_account, '') ORDER BY move_id DESC LIMIT 1
), 'live') = 'live'
$$;
"""
# A lock of an account that V1 has is V1's. As in 0038, a move of the release before that replaces all locks locks none.
_NOTE_LOCKS = """
CREATE OR REPLACE FUNCTION note_new_locks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('StockLocked', 'StockShort')
    AND current_setting('orders_sync.replaces_stock', true) IS DISTINCT FROM 'on'
  THEN
    PERFORM public.note_lock(ROW(added.*)::public.stock_locks, 'StockLocked') FROM new_locks added
    WHERE locked > 0 AND {added};
    PERFORM public.note_lock(ROW(added.*)::public.stock_locks, 'StockShort') FROM new_locks added
    WHERE short > 0 AND {added};
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION note_changed_locks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('StockLocked', 'StockShort') THEN
    PERFORM public.note_lock(ROW(now.*)::public.stock_locks, 'StockLocked')
    FROM new_locks now JOIN old_locks before USING (account, item_id, sku)
    WHERE now.locked > before.locked AND {changed};
    PERFORM public.note_lock(ROW(now.*)::public.stock_locks, 'StockShort')
    FROM new_locks now JOIN old_locks before USING (account, item_id, sku)
    WHERE now.short > before.short AND {changed};
  END IF;
  RETURN NULL;
END $$;
"""
