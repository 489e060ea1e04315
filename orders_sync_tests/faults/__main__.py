"""`python -m orders_sync_tests.faults`: random sequences of faults, and faults of a whole deployment.

Prints the figures, and writes them into a page. The exit code is 1 if there was a violation.
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from orders_sync_tests.faults.report import Report, table, write


def main() -> int:
    """Returns the exit code."""
    # Here, since each process that is forked imports this module: its work would take ten times as long.
    from orders_sync_tests.faults import chaos, deployments, kinds

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=0, help="how many random sequences")
    parser.add_argument("--deployment-faults", type=int, default=0, help="how many faults of a whole deployment")
    parser.add_argument("--seed", type=int, default=None, help="of the first sequence; by default a random one")
    parser.add_argument("--workers", type=int, default=2, help="sequences at the same time, each with its own server")
    parser.add_argument("--write", type=Path, help="a page in which the figures are replaced")
    options = parser.parse_args()
    seed: int = options.seed if options.seed is not None else random.randrange(1_000_000)
    violations: list[str] = []
    if options.sequences:
        print(f"{options.sequences} sequences from seed {seed}", flush=True)
        report = chaos.run_in_parallel(seed, options.sequences, options.workers)
        heads = ("sequences with it", "every lane worked again after: median", "worst")
        what = f"{options.sequences} sequences from seed {seed}"
        _show(report, {n: k.expected for n, k in kinds.FAULTS.items()}, heads, what, "random sequences", options.write)
        violations += report.violations
    if options.deployment_faults:
        print(f"{options.deployment_faults} faults of a deployment from seed {seed}", flush=True)
        with tempfile.TemporaryDirectory(prefix="osfs-") as state:  # a turn of deployments is kept in the state folder
            os.environ["ORDERS_SYNC_STATE"] = state
            report = deployments.run_faults(seed, options.deployment_faults)
        heads = ("times", "everything was right again after: median", "worst")
        what = f"{options.deployment_faults} faults from seed {seed}"
        expected = {n: k.expected for n, k in deployments.FAULTS.items()}
        _show(report, expected, heads, what, "faults of a deployment", options.write)
        violations += report.violations
    return 1 if violations else 0


def _show(
    report: Report, expected: dict[str, str], heads: tuple[str, ...], what: str, name: str, page: Path | None
) -> None:
    text = f"{table(report, expected, heads)}\n\n{len(report.violations)} violations in {what}."
    print(f"\n{text}")
    if page is not None:
        write(page, name, text)


if __name__ == "__main__":  # a process that is forked imports this module too
    sys.exit(main())
