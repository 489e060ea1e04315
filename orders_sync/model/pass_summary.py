"""What a pass did, in numbers: the same in the UI's metadata, the CLI and the tables."""

from dataclasses import asdict, dataclass, field
from datetime import datetime


@dataclass
class PassSummary:
    """Counts of one pass of one lane. Times are by the marketplace's clock."""

    fetched: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    events: int = 0
    accepted: int = 0
    refused: int = 0
    documents_found: int = 0
    linked: int = 0
    api_calls: int = 0
    retries: int = 0
    too_many_requests: int = 0
    throttled_seconds: float = 0.0
    seconds: float = 0.0
    range_start: datetime | None = None
    range_end: datetime | None = None
    watermark: datetime | None = None
    problems: list[str] = field(default_factory=list[str])
    """What went wrong with single records without stopping the pass, one line each."""

    def numbers(self) -> dict[str, int | float]:
        """The counts by name."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
            if isinstance(value, int | float)
        }

    def as_json(self) -> dict[str, object]:
        return {
            **self.numbers(),
            "range_start": _text(self.range_start),
            "range_end": _text(self.range_end),
            "watermark": _text(self.watermark),
            "problems": self.problems[:20],
        }


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
