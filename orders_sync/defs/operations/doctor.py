"""What `orders-sync doctor` finds, as checks of an asset: Dagster's overviews show whether all is well."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from orders_sync.dagster_support.metadata import rows_table
from orders_sync.dagster_support.row_checks import check_name
from orders_sync.health.examinations import EXAMINATIONS, SLOW, findings
from orders_sync.health.finding import Finding, Level

DOCTOR = dg.AssetKey("doctor")
SHOWN = 25
REPORT_ALL_SECONDS = 3540.0
"""How often the results of all examinations are shown again; one that is new is shown at once."""
_COLUMNS = ("finding", "what to do", "page")


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            DOCTOR,
            group_name="operations",
            owners=["team:orders"],
            kinds={"python", "postgres"},
            description=(
                "What `orders-sync doctor` finds. Each of its examinations is a check, every hour and when its result "
                "changes; those that read whole tables, in the night. Materialize it to examine everything now."
            ),
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(check_name(name), asset=DOCTOR, description=f"The examination `{name}` of the doctor.")
        for name in EXAMINATIONS
    ],
    can_subset=True,
    pool="doctor",
)
def doctor(context: dg.AssetExecutionContext) -> Iterator[Any]:
    """Examines what is selected."""
    chosen = {key.name for key in context.selected_asset_check_keys}
    results = list(examined(name for name in EXAMINATIONS if check_name(name) in chosen))
    if DOCTOR in context.selected_asset_keys:
        yield dg.MaterializeResult(DOCTOR, metadata=_figures(results))
    for each in results:
        yield dg.AssetCheckResult(
            asset_key=DOCTOR,
            check_name=each.check_name,
            passed=each.passed,
            severity=each.severity,
            description=each.description,
            metadata=each.metadata,
        )


def examined(names: Iterable[str]) -> Iterator[dg.AssetCheckEvaluation]:
    """The result of each of these examinations."""
    for name in names:
        yield _evaluation(name, list(findings(EXAMINATIONS[name])))


def _evaluation(examination: str, found: list[Finding]) -> dg.AssetCheckEvaluation:
    wrong = [each for each in found if not each.ok]
    notable = [each for each in found if each.ok and each.is_notable]
    is_error = any(each.level is Level.ERROR for each in wrong)
    metadata: dict[str, Any] = {"findings": len(wrong)}
    shown = [(each.text, "" if each.ok else each.remedy, each.page) for each in (*wrong, *notable)]
    if shown:
        metadata["what was found"] = rows_table(_COLUMNS, shown[:SHOWN])
    for page in sorted({each.page for each in wrong if each.page}):
        metadata[f"page {page}"] = dg.MetadataValue.url(page)
    count = f"{len(wrong)} findings need" if len(wrong) > 1 else "A finding needs"
    return dg.AssetCheckEvaluation(
        asset_key=DOCTOR,
        check_name=check_name(examination),
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=f"{count} a person." if wrong else None,
        metadata=metadata,
    )


def _figures(results: Iterable[dg.AssetCheckEvaluation]) -> dict[str, int]:
    failed = [each for each in results if not each.passed]
    errors = sum(each.severity is dg.AssetCheckSeverity.ERROR for each in failed)
    return {"failed_examinations": errors, "examinations_with_warnings": len(failed) - errors}


@dg.sensor(
    name="doctor_sensor",
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Examines the project as `orders-sync doctor` does, but for whole tables, and shows the results as checks of "
        "the asset `doctor`: all of them every hour, and what has changed at once. It needs no run."
    ),
)
def doctor_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """The cursor: when all results were shown (epoch seconds), and what each check showed last, as a hash."""
    stored: dict[str, Any] = json.loads(context.cursor or "{}")
    results = list(examined(name for name in EXAMINATIONS if name not in SLOW))
    digests = {each.check_name: _digest(each) for each in results}
    is_due = time.time() - stored.get("at", 0.0) >= REPORT_ALL_SECONDS
    before = stored.get("shown", {})
    # First: a tick that is ended for its length must not show everything again, each time.
    context.update_cursor(json.dumps({"at": time.time() if is_due else stored["at"], "shown": digests}))
    if is_due:
        # A materialization makes the results of the night look outdated: there is one, the first.
        is_first = context.instance.get_latest_materialization_event(DOCTOR) is None
        event = dg.AssetMaterialization if is_first else dg.AssetObservation
        context.instance.report_runless_asset_event(event(DOCTOR, metadata=_figures(results)))
    shown = [each for each in results if is_due or before.get(each.check_name) != digests[each.check_name]]
    for each in shown:
        context.instance.report_runless_asset_event(each)
    failed = ", ".join(each.check_name for each in results if not each.passed)
    return dg.SkipReason(f"Something needs a person: {failed}." if failed else "All is well.")


def _digest(evaluation: dg.AssetCheckEvaluation) -> str:
    """The same while the result is the same, whatever the times in the texts of its findings."""
    parts = [evaluation.passed, evaluation.severity.value, evaluation.metadata["findings"].value]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
