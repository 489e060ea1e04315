"""The jobs that pause and resume an account, as a person launches them in the UI."""

import dagster as dg

from orders_sync.database.engine import Connection
from orders_sync.lanes.pauses import paused_accounts


def launched(definitions: dg.Definitions, job: str, account: str) -> dg.ExecuteInProcessResult:
    op = {"pause_account": "pause_one_account", "resume_account": "resume_one_account"}[job]
    return definitions.resolve_job_def(job).execute_in_process(
        run_config={"ops": {op: {"config": {"account": account, "reason": "it moves"}}}},
        tags={"user": "anna"},
        raise_on_error=False,
    )


def test_an_account_is_paused_and_resumed(definitions: dg.Definitions, connection: Connection) -> None:
    assert launched(definitions, "pause_account", "mirakl_sandbox").success
    (pause,) = paused_accounts(connection).values()
    assert (pause.account, pause.by, pause.reason) == ("mirakl_sandbox", "anna", "it moves")
    assert launched(definitions, "resume_account", "mirakl_sandbox").success
    assert paused_accounts(connection) == {}
    acts = connection.execute("SELECT act, via FROM manual_acts ORDER BY act_id").fetchall()
    assert acts == [
        ("pause_account", "Dagster job pause_account"),
        ("resume_account", "Dagster job resume_account"),
    ]


def test_what_can_not_be_done_fails_the_run_in_one_line(definitions: dg.Definitions, connection: Connection) -> None:
    for job, account, said in (
        ("pause_account", "shpo", "There is no account shpo; allowed are"),
        ("resume_account", "mirakl_sandbox", "Account mirakl_sandbox is not paused"),
    ):
        result = launched(definitions, job, account)
        (failure,) = result.get_step_failure_events()
        assert said in str(failure.step_failure_data.user_failure_data)
