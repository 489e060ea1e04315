"""Who acts by hand, where from, and why."""

from typing import NamedTuple

from orders_sync.model.texts import check_characters, check_reason


class By(NamedTuple):
    """Who acts, and why."""

    user: str
    """user@machine; in Dagster, the run's tag `user`, else `Dagster run` and the beginning of its id; '': the stock
    job."""
    reason: str
    """''; where the act needs none, or nobody does it by hand."""
    via: str = ""
    """Where from: the command, e.g. `orders-sync stock adjust`, or the job, e.g. `Dagster job adjust_stock`."""
    run_id: str = ""
    """The run that did it: Dagster's run id, or cli-…; '': the act is no run."""

    @classmethod
    def checked(cls, user: str, reason: str, via: str = "", run_id: str = "") -> "By":
        """Raises InputError if the reason can't be used, e.g. is empty, or if the user can't be stored."""
        return cls(check_characters(user, "the user"), check_reason(reason), via, run_id)
