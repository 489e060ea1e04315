"""The cutover from V1: its moves between phases, and the comparisons of V1 with V2."""

from sqlalchemy import BigInteger, Boolean, Column, Date, Identity, Index, Integer, Numeric, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from orders_sync.database.tables.columns import ACCOUNT, ORDER_ID, metadata, moment

_DAY = "The UTC day: the orders that either side touched on it were compared."

migration_moves = Table(
    "migration_moves",
    metadata,
    Column("move_id", BigInteger, Identity(), primary_key=True, comment="Running number of the move."),
    Column(
        "account", Text, nullable=False, server_default="",
        comment="Name of the seller account that moved; '': all accounts, before revision 0040.",
    ),
    Column("from_phase", Text, nullable=False, comment="Phase before the move: parallel, monitor or live."),
    Column("to_phase", Text, nullable=False, comment="Phase after the move: parallel, monitor or live."),
    moment("moved_at", "When the cutover moved, by our clock.", now=True),
    Column("moved_by", Text, nullable=False, comment="Who moved it: user@machine."),
    Column("forced", Boolean, nullable=False, comment="Whether it moved although checks did not pass."),
    Column("reason", Text, nullable=False, comment="The reason that the user gave."),
    Column(
        "checks", JSONB, nullable=False, comment="The checks at the time of the move: a list of {name, passed, what}."
    ),
    Column(
        "not_taken", JSONB, nullable=False, server_default=text("'[]'"),
        comment="V1's locks that V2 did not take over, since their items need none: a list of {order_id, item_id, "
        "status}.",
    ),
    comment="One row per move of an account between phases of the cutover from V1 to V2.",
)  # fmt: skip

migration_v1_writes = Table(
    "migration_v1_writes",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column(
        "orders", Integer, nullable=False,
        comment="Number of the account's orders that V1 has written since V2 has taken the account over.",
    ),
    moment("looked_at", "When V1 was looked at last, by our clock.", now=True),
    comment="Whether V1 stays off, one row per account that V2 has taken over: the check v1_stays_off looks each hour.",
)  # fmt: skip

migration_comparisons = Table(
    "migration_comparisons",
    metadata,
    Column("comparison_id", BigInteger, Identity(), primary_key=True, comment="Running number."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("day", Date, nullable=False, comment=_DAY),
    moment("compared_at", "When V1 and V2 were compared, by our clock.", now=True),
    Column("orders_v1", Integer, nullable=False, comment="Number of orders in V1."),
    Column("orders_v2", Integer, nullable=False, comment="Number of orders in V2."),
    Column("only_in_v1", Integer, nullable=False, comment="Number of orders that are missing in V2."),
    Column("only_in_v2", Integer, nullable=False, comment="Number of orders that are missing in V1."),
    Column("differing", Integer, nullable=False, comment="Number of orders that are in both and differ."),
    Column(
        "in_flight", Integer, nullable=False,
        comment="Number of differences that do not count, since one side could not have the other's data yet.",
    ),
    Column(
        "agreement", Numeric, nullable=False,
        comment="Per cent of the compared orders on which both agree, 0 to 100.",
    ),
    Column("locks_v1", Integer, nullable=False, comment="Number of V1's stock locks that are not released."),
    Column("locks_v2", Integer, nullable=False, comment="Number of V2's stock locks that are not released."),
    Column("locks_differing", Integer, nullable=False, comment="Number of stock locks that differ."),
    Column("first_in_v1", Integer, nullable=False, comment="Number of orders that V1 stored first."),
    Column("first_in_v2", Integer, nullable=False, comment="Number of orders that V2 stored first."),
    Column(
        "v2_later_seconds", Numeric,
        comment="Median of the seconds by which V2 stored an order later than V1; below 0: earlier. Empty: no orders.",
    ),
    Column("calls_v1", Integer, comment="V1's API calls of the day; empty when V1 does not count them."),
    Column("calls_v2", Integer, nullable=False, comment="V2's API calls of the day."),
    Column("too_many_requests_v2", Integer, nullable=False, comment="Number of 429 answers to V2 on the day."),
    Column("verdict", Text, nullable=False, comment="The result in one line."),
    Column(
        "compared_orders", Integer, nullable=False, server_default="0",
        comment="Number of orders that were compared, with those of an earlier day.",
    ),
    Column(
        "orders_in_both", Integer, nullable=False, server_default="0",
        comment="Number of compared orders that both systems have.",
    ),
    Column(
        "missing_in_v2", Integer, nullable=False, server_default="0",
        comment="Number of orders that only V1 has, but for those that the marketplace does not have either.",
    ),
    Column(
        "is_whole_day", Boolean, nullable=False, server_default=text("true"),
        comment="Whether the day was over when it was compared.",
    ),
    Column(
        "v1_ran", Boolean, nullable=False, server_default=text("true"), comment="Whether V1 wrote orders on the day."
    ),
    Column(
        "v2_ran", Boolean, nullable=False, server_default=text("true"),
        comment="Whether each lane of V2 has fetched everything until the end of the day.",
    ),
    Column(
        "correct", Numeric, nullable=False, server_default="100",
        comment="Per cent of the compared orders on which both agree, or V2 is right by the marketplace's word, 0 to "
        "100.",
    ),
    Column(
        "v1_right", Integer, nullable=False, server_default="0",
        comment="Number of differences in which the marketplace says what V1 says.",
    ),
    Column(
        "v2_right", Integer, nullable=False, server_default="0",
        comment="Number of differences in which the marketplace says what V2 says.",
    ),
    Column(
        "neither_right", Integer, nullable=False, server_default="0",
        comment="Number of differences in which the marketplace says something else.",
    ),
    Column(
        "undecided", Integer, nullable=False, server_default="0",
        comment="Number of differences that were not verified, or that no order decides, e.g. of locks.",
    ),
    Column("levels_differing", Integer, comment="Number of SKUs whose stock differs; empty: it was not compared."),
    Column(
        "zone_offset_minutes", Integer,
        comment="By how many minutes V1's times lie beside the configured time zone; empty: too few orders to tell.",
    ),
    Column(
        "clock_skew_seconds", Numeric, comment="By how many seconds V1's clock is ahead of ours; empty: not measured."
    ),
    Column(
        "findings", JSONB, nullable=False, server_default=text("'[]'"),
        comment="What is odd in V1's rows, e.g. duplicates: a list of {kind, count, examples, what}.",
    ),
    Column(
        "not_verified", Text, nullable=False, server_default="",
        comment="Why not all differences were verified against the marketplace, in one line; empty: all were.",
    ),
    comment="V1 and V2 compared, one row per comparison of an account and a day. The latest of a day counts; the "
    "others stay.",
)  # fmt: skip
Index(
    "migration_comparisons_day",
    migration_comparisons.c.account, migration_comparisons.c.day, migration_comparisons.c.comparison_id,
)  # fmt: skip

migration_differences = Table(
    "migration_differences",
    metadata,
    Column("difference_id", BigInteger, Identity(), primary_key=True, comment="Running number of the difference."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("day", Date, nullable=False, comment=_DAY),
    Column("order_id", Text, nullable=False, comment=ORDER_ID),
    Column(
        "item_id", Text, nullable=False, server_default="",
        comment="The marketplace's id of the order item; '': the difference is about the order.",
    ),
    Column(
        "kind", Text, nullable=False,
        comment="only in V1, only in V2, differs; lock only in V1, only in V2, differs, or forgotten in V1.",
    ),
    Column("field", Text, nullable=False, server_default="", comment="The field that differs; '': the whole row."),
    Column("v1", Text, comment="V1's value; empty: none."),
    Column("v2", Text, comment="V2's value; empty: none."),
    Column(
        "in_flight", Boolean, nullable=False,
        comment="Whether the difference does not count, since one side could not have the other's data yet.",
    ),
    Column("comparison_id", BigInteger, comment="The comparison that found it; empty: one before 0039."),
    moment("first_found_at", "When a comparison first found the same difference, by our clock.", now=True),
    Column(
        "right_side", Text,
        comment="Who is right, by the marketplace's order: V1, V2 or neither; empty: not verified.",
    ),
    moment("verified_at", "When it was verified against the marketplace, by our clock; empty: never."),
    comment="What differs between V1 and V2, one row per field.",
)  # fmt: skip
Index("migration_differences_order", migration_differences.c.account, migration_differences.c.order_id)
Index("migration_differences_comparison", migration_differences.c.comparison_id)
Index("migration_differences_day", migration_differences.c.account, migration_differences.c.day)
