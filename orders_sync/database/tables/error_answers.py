"""The error answers of marketplaces, whole: evidence with rights and a retention of its own."""

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from orders_sync.database.tables.columns import ACCOUNT, PERSONAL_DATA, SYNC_TYPE, metadata, moment

error_answers = Table(
    "error_answers",
    metadata,
    Column("error_answer_id", BigInteger, Identity(), primary_key=True, comment="Running number of the answer."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("sync_type", Text, nullable=False, comment=SYNC_TYPE),
    Column("run_id", Text, nullable=False, comment="Dagster's run id, or cli-… for the command line."),
    moment("answered_at", "When the answer came, by the clock of the machine that made the request.", now=True),
    Column("method", Text, nullable=False, comment="HTTP method of the request."),
    Column("path", Text, nullable=False, comment="Path of the request, without its query and without credentials."),
    Column("status", Integer, nullable=False, comment="HTTP status; below 300: the answer is not of the contract."),
    Column(
        "headers", JSONB, nullable=False, info=PERSONAL_DATA,
        comment="Headers that explain the answer, without credentials: values by name.",
    ),
    Column(
        "body", LargeBinary, nullable=False, info=PERSONAL_DATA,
        comment="The first 32 kB of the body, without credentials; may hold buyer's data.",
    ),
    Column("body_bytes", Integer, nullable=False, comment="Bytes of the whole body."),
    Column(
        "times", Integer, nullable=False,
        comment="How often the run got an answer of this status to this request; the newest one is kept.",
    ),
    comment="One row per error answer of a marketplace; the newest 100 of each account.",
)  # fmt: skip
Index("error_answers_account", error_answers.c.account, error_answers.c.error_answer_id)
