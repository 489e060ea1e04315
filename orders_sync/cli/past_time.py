"""A moment that a person names on the command line, in UTC."""

from datetime import UTC, datetime

import click

from orders_sync.model.times import ALLOWED_PAST, why_out_of_range


class PastTime(click.DateTime):
    """A date, or a date with a time, in UTC: from the year 2000 up to now. The value is aware."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        at = super().convert(value, param, ctx)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        problem = why_out_of_range(at, datetime.now(UTC))
        if problem is not None:
            self.fail(f"{value} {problem}; allowed is {ALLOWED_PAST}.", param, ctx)
        return at
