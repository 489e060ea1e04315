"""What became of many faults, as a table of docs/reliability.md."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """The times and the violations of a run."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By kind of fault, how long it took until everything was right again."""
    noticed: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By kind of fault, how long it took until it was noticed, where that is measured."""
    violations: list[str] = field(default_factory=list[str])

    def add(self, other: "Report") -> None:
        """Adds what another run of the same kinds of faults has shown."""
        self.violations.extend(other.violations)
        for name, values in other.seconds.items():
            self.seconds[name] += values
        for name, values in other.noticed.items():
            self.noticed[name] += values

    def note_violation(self, where: str, error: Exception) -> None:
        """Keeps a violation, and prints it: a run lasts long."""
        self.violations.append(f"{where}: {type(error).__name__}: {str(error)[:6000]}")
        print(self.violations[-1], flush=True)


def table(report: Report, expected: Mapping[str, str], heads: Iterable[str]) -> str:
    """The report in Markdown. `expected`: by kind of fault. `heads`: of the number of times, the median, the worst."""
    lines = [f"| fault | expected | {' | '.join(heads)} |", "|---|---|---:|---:|---:|"]
    for name, text in expected.items():
        if values := report.seconds.get(name):
            figures = f"{len(values)} | {statistics.median(values):.1f} s | {max(values):.1f} s"
            lines.append(f"| {name} | {text} | {figures} |")
    for name, values in report.noticed.items():
        figures = f"a median of {statistics.median(values):.1f} s, at worst {max(values):.1f} s"
        lines += ["", f"After the fault `{name}`, both ends had noticed it after {figures} ({len(values)} times)."]
    return "\n".join(lines)


def write(page: Path, name: str, text: str) -> None:
    """Replaces what is between the comments `<!-- name -->` and `<!-- end of name -->` of a page."""
    before, begin, rest = page.read_text().partition(f"<!-- {name} -->")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
