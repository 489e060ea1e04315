"""How the syncs work: lanes and their passes, ticks, what could not be used, acceptances, request limits."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from orders_sync.database.tables.columns import ACCOUNT, EMPTY_JSON, ORDER_ID, OUTCOME, SYNC_TYPE, metadata, moment

lanes = Table(
    "lanes",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("sync_type", Text, primary_key=True, comment=SYNC_TYPE),
    moment("watermark", "Up to when the lane has seen everything, by the marketplace's clock; empty: not yet."),
    Column("last_run_id", Text, comment="Id of the last run: Dagster's run id, or cli-… for the command line."),
    moment("last_started_at", "When the last pass started, by our clock."),
    moment("last_finished_at", "When a pass last finished, by our clock."),
    moment("last_succeeded_at", "When a pass last succeeded, by our clock."),
    Column("last_outcome", Text, comment="Outcome of the last pass: " + OUTCOME),
    Column("last_problem", Text, comment="Why the last pass failed, in one line; empty: it did not."),
    Column(
        "last_summary", JSONB, nullable=False, server_default=EMPTY_JSON,
        comment="Counts of the last finished pass, as in lane_runs.summary.",
    ),
    comment="One row per lane (account and sync type).",
)  # fmt: skip

watermark_rewinds = Table(
    "watermark_rewinds",
    metadata,
    Column("rewind_id", BigInteger, Identity(), primary_key=True, comment="Running number of the rewind."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("sync_type", Text, nullable=False, comment=SYNC_TYPE),
    Column("from_watermark", DateTime(timezone=True), nullable=False, comment="Watermark of the lane before."),
    Column("to_watermark", DateTime(timezone=True), nullable=False, comment="Watermark of the lane after."),
    moment("rewound_at", "When the watermark was set back, by our clock.", now=True),
    Column("rewound_by", Text, nullable=False, comment="Who set it back: user@machine."),
    Column("reason", Text, nullable=False, comment="The reason that the user gave."),
    comment="One row per watermark that was set back by hand.",
)

lane_runs = Table(
    "lane_runs",
    metadata,
    Column("lane_run_id", BigInteger, Identity(), primary_key=True, comment="Running number of the pass."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("sync_type", Text, nullable=False, comment=SYNC_TYPE),
    Column("run_id", Text, nullable=False, comment="Dagster's run id, or cli-… for the command line."),
    moment("started_at", "When the pass started, by our clock.", now=True),
    moment("finished_at", "When the pass finished, by our clock; empty: it has not."),
    Column("outcome", Text, nullable=False, comment="Outcome of the pass: " + OUTCOME),
    Column("problem", Text, comment="Why the pass failed, in one line; empty: it did not."),
    Column(
        "summary", JSONB, nullable=False, server_default=EMPTY_JSON,
        comment="Counts of the pass by name (orders_sync/model/pass_summary.py); durations in seconds.",
    ),
    moment(
        "progressed_at",
        "When the pass last made progress, to a few seconds, by our clock; empty: it did not note it.",
    ),
    Column(
        "waits_for", Text,
        comment="What the running pass waits for, e.g. the answer to GET /ws/orders; empty: for nothing.",
    ),
    moment("waits_until", "When it stops waiting for that at the latest, by our clock; empty: it does not wait."),
    comment="One row per pass of a lane, from Dagster and from the command line.",
)  # fmt: skip
Index("lane_runs_lane", lane_runs.c.account, lane_runs.c.sync_type, lane_runs.c.started_at)

schedule_ticks = Table(
    "schedule_ticks",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("sync_type", Text, primary_key=True, comment=SYNC_TYPE),
    Column("tick_at", DateTime(timezone=True), primary_key=True, comment="The scheduled moment of the tick."),
    moment("taken_at", "When a daemon took the tick, by our clock.", now=True),
    comment="One row per schedule tick that a daemon took, so that only one of several daemons acts on it.",
)

refused_credentials = Table(
    "refused_credentials",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("sync_type", Text, primary_key=True, comment=SYNC_TYPE),
    moment("refused_at", "When the credential was refused, or found missing, by our clock.", now=True),
    Column(
        "pauses_account", Boolean, nullable=False,
        comment="Whether all lanes of the account pause, and not only this one: the credential itself is wrong.",
    ),
    Column("problem", Text, nullable=False, comment="Why the pass failed, in one line."),
    Column("salt", LargeBinary, nullable=False, comment="Random bytes that `mark` was made with."),
    Column(
        "mark", LargeBinary, nullable=False,
        comment="Two bytes of a slow hash of the account's file and credentials: the pause ends when it differs.",
    ),
    comment="One row per lane whose last pass failed since the account's credential was refused or is missing.",
)  # fmt: skip

account_pauses = Table(
    "account_pauses",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    moment("paused_at", "When a person paused the account, by our clock.", now=True),
    Column("paused_by", Text, nullable=False, comment="Who did it: user@machine, or the user in Dagster."),
    Column("reason", Text, nullable=False, comment="Why."),
    comment="One row per account that a person has paused: no run of it is requested until somebody resumes it.",
)  # fmt: skip

rejected_records = Table(
    "rejected_records",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("kind", Text, primary_key=True, comment="order or care."),
    Column(
        "record_id", Text, primary_key=True,
        comment="The marketplace's id of the record; 'hash:…' of its bytes when it has no usable id.",
    ),
    Column("raw", LargeBinary, nullable=False, comment="The record byte for byte as received; may hold buyer's data."),
    Column(
        "reasons", JSONB, nullable=False,
        comment="Every reason for the rejection: a list of {where, what, allowed}, without buyer's data.",
    ),
    moment("first_seen_at", "When the record was first rejected, by our clock.", now=True),
    moment("last_seen_at", "When the record was last rejected, by our clock.", now=True),
    Column(
        "attempts", Integer, nullable=False, server_default="1", comment="Number of times that the record was rejected."
    ),
    moment("resolved_at", "When a later version of the record passed, by our clock; empty: still rejected."),
    Column(
        "fingerprint", LargeBinary, comment="Hash of the record, which shows whether it has changed; empty: not known."
    ),
    moment("modified_at", "When the record was modified, by the marketplace's clock; empty: not known."),
    moment(
        "dismissed_at",
        "When a person dismissed the record, by our clock: it is not tried again; empty: not dismissed.",
    ),
    Column("dismissed_by", Text, comment="Who dismissed the record: user@machine."),
    Column("dismissed_reason", Text, comment="Why the record was dismissed: the reason that the user gave."),
    comment="One row per record that failed validation or could not be fetched, whole, with the reasons.",
)  # fmt: skip

record_flaws = Table(
    "record_flaws",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("kind", Text, primary_key=True, comment="order or care."),
    Column("record_id", Text, primary_key=True, comment="The marketplace's id of the record."),
    Column("field", Text, primary_key=True, comment="Where in the record, e.g. `items[1].fee`."),
    Column("found", Text, nullable=False, comment="What is wrong there, without buyer's data, e.g. is not a number."),
    Column("stored", Text, nullable=False, comment="What is stored instead, e.g. unknown."),
    moment("first_seen_at", "When the flaw was first found, by our clock.", now=True),
    moment("last_seen_at", "When the flaw was last found, by our clock.", now=True),
    comment="One row per flaw: a wrong value of a record that is stored nevertheless. Gone once the record is right.",
)  # fmt: skip

acceptances = Table(
    "acceptances",
    metadata,
    Column("acceptance_id", BigInteger, Identity(), primary_key=True, comment="Running number of the request."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("order_id", Text, nullable=False, comment=ORDER_ID),
    Column("sku", Text, nullable=False, comment="SKU of the orderlines; '': all waiting lines of the order."),
    Column(
        "item_id", Text, nullable=False, server_default="",
        comment="The marketplace's id of the orderline; '': all waiting lines of the SKU.",
    ),
    Column(
        "state", Text, nullable=False,
        comment="requested (no answer yet), accepted, done (a refusal was carried out), refused (by the marketplace), "
        "failed (certainly not done, and sent again), lost (the answer was lost), or left (the same, and the line no "
        "longer waits).",
    ),
    Column("request", JSONB, nullable=False, comment="The content of the request."),
    Column("answer_status", Integer, comment="HTTP status of the answer; empty: no answer."),
    Column("answer", Text, comment="The answer, or why there is none, in one line without buyer's data."),
    moment("requested_at", "When the request was recorded, just before it was sent, by our clock.", now=True),
    moment("answered_at", "When the answer, or its loss, was recorded, by our clock; empty: not yet."),
    Column(
        "decision", Text, nullable=False, server_default="accept",
        comment="accept, or refuse (at least one of the orderlines).",
    ),
    Column("reason", Text, comment="Why orderlines are refused; empty: none is."),
    CheckConstraint("decision IN ('accept','refuse')", name="acceptances_decision"),
    comment="One row per request to accept or refuse waiting orderlines: the only writes to a marketplace.",
)  # fmt: skip
Index("acceptances_order", acceptances.c.account, acceptances.c.order_id)

refusal_holds = Table(
    "refusal_holds",
    metadata,
    Column("hold_id", BigInteger, Identity(), primary_key=True, comment="Running number of the decision."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("order_id", Text, nullable=False, comment=ORDER_ID),
    Column(
        "holds", Boolean, nullable=False,
        comment="Whether no orderline of the order is refused from now on; false: the account's setting counts again.",
    ),
    Column("reason", Text, nullable=False, comment="The reason that the user gave."),
    Column("made_by", Text, nullable=False, comment="user@machine."),
    moment("made_at", "When it was decided, by our clock.", now=True),
    comment="Orders whose short orderlines a person holds back from refusal, one row per decision: the latest counts.",
)  # fmt: skip
Index("refusal_holds_order", refusal_holds.c.account, refusal_holds.c.order_id)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("bucket", Text, primary_key=True, comment="Name of the published limit that these calls count against."),
    Column(
        "next_slot", DateTime(timezone=True), nullable=False,
        comment="When the next call may start, by our clock.",
    ),
    moment(
        "blocked_until",
        "No call before this moment, by our clock: the marketplace requested a pause (429 or 503).",
    ),
    Column("day", Date, comment="The UTC day that day_calls counts."),
    Column("day_calls", Integer, nullable=False, server_default="0", comment="Number of API calls on that day."),
    prefixes=["UNLOGGED"],
    comment="The rate limiter: one row per account and published limit, shared by all lanes on all machines.",
)  # fmt: skip
