"""What a pass did: the same figures in the UI's metadata, on the command line and in the table lane_runs."""

from dataclasses import asdict, dataclass, field, fields
from datetime import datetime

from orders_sync.model.known_credentials import masked


@dataclass
class PassSummary:
    """The figures of one pass of one lane so far. Its moments are times of the marketplace's clock."""

    fetched: int = 0
    """Records that were fetched; for `incomplete`, orders whose documents were."""
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    """Records that brought nothing new."""
    rejected: int = 0
    put_off: int = 0
    """Records that could not be fetched: they are kept among the rejected records, and a later pass fetches them."""
    flawed: int = 0
    """Records with flaws that were created or changed: a value is wrong, and the record is stored nevertheless."""
    events: int = 0
    """Events written."""
    accepted: int = 0
    """Requests to accept orderlines that the marketplace accepted."""
    refusals: int = 0
    """Requests to refuse orderlines that the marketplace carried out."""
    refused: int = 0
    """Requests to accept or refuse orderlines that the marketplace refused."""
    documents_found: int = 0
    """URLs of delivery notes and labels that `incomplete` found."""
    documents_stored: int = 0
    """Documents whose content `incomplete` fetched and stored."""
    documents_put_off: int = 0
    """Documents whose content could not be fetched: a later pass fetches it."""
    linked: int = 0
    """Items that `care` linked to another care record than before."""
    api_calls: int = 0
    retries: int = 0
    """API calls that were repeated."""
    too_many_requests: int = 0
    """Answers of 429."""
    throttled_seconds: float = 0.0
    """Time spent waiting for rate limits."""
    seconds: float = 0.0
    """The time of the whole pass."""
    range_start: datetime | None = None
    range_end: datetime | None = None
    watermark: datetime | None = None
    """Where the lane's watermark stands after the pass; None if the pass failed."""
    problems: list[str] = field(default_factory=list[str])
    """What went wrong with single records without stopping the pass, one line each."""

    def add(self, part: "PassSummary") -> None:
        """Adds the figures and problems of a part of the pass. A moment that the part has replaces the one here."""
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(part, name))
        for name in _REPLACED:
            if getattr(part, name) is not None:
                setattr(self, name, getattr(part, name))
        # An id may have a line break, and would begin a line of its own.
        self.problems += (masked(" ".join(problem.split())) for problem in part.problems)

    @property
    def is_partial(self) -> bool:
        """Whether the pass was complete but for records, or contents of documents, that were put off."""
        return self.put_off + self.documents_put_off > 0

    def put_off_in_words(self) -> str:
        """What was put off, e.g. `3 records and 1 document`."""
        counts = ((self.put_off, "record"), (self.documents_put_off, "document"))
        return " and ".join(f"{count} {what}{'' if count == 1 else 's'}" for count, what in counts if count)

    def numbers(self) -> dict[str, int | float]:
        """The counts and durations, by name."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
            if isinstance(value, int | float)
        }

    def as_json(self) -> dict[str, object]:
        """The summary as it is stored in lane_runs, with the first 20 problems."""
        return {
            **self.numbers(),
            "range_start": _text(self.range_start),
            "range_end": _text(self.range_end),
            "watermark": _text(self.watermark),
            "problems": self.problems[:20],
        }


_REPLACED = ("range_start", "range_end", "watermark")
_ADDED = tuple(each.name for each in fields(PassSummary) if each.name not in (*_REPLACED, "problems"))


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
