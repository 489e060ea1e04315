"""The credentials of the sandbox marketplaces. They are public, and open nothing but the sandbox."""

import os

SANDBOX_CREDENTIALS = {
    "BACK_MARKET_SANDBOX_TOKEN": "sandbox-token",
    "REFURBED_SANDBOX_TOKEN": "sandbox-token-refurbed",
    "MIRAKL_SANDBOX_KEY": "sandbox-key-mirakl",
}
"""By the environment variable that a sandbox account's file names."""


def provide_sandbox_credentials() -> None:
    """Sets the variables that nobody has set, so that the sandbox accounts work in a fresh checkout.

    The entry points of a process call it: the definitions and the command line. Code of real accounts never does.
    """
    for variable, value in SANDBOX_CREDENTIALS.items():
        os.environ.setdefault(variable, value)
