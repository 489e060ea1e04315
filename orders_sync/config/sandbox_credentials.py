"""The credentials of the sandbox marketplaces. They are public and give access to nothing but the sandbox."""

import os

SANDBOX_CREDENTIALS = {
    "BACK_MARKET_SANDBOX_TOKEN": "sandbox-token",
    "REFURBED_SANDBOX_TOKEN": "sandbox-token-refurbed",
    "MIRAKL_SANDBOX_KEY": "sandbox-key-mirakl",
}
"""Each credential by the environment variable that a sandbox account's file names."""


def provide_sandbox_credentials() -> None:
    """Sets the variables that are not set yet, so that the sandbox accounts work in a fresh checkout.

    Only the entry points of a process call this: the Dagster definitions and the command line.
    """
    for variable, value in SANDBOX_CREDENTIALS.items():
        os.environ.setdefault(variable, value)
