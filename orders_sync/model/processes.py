"""Processes of this machine."""

import psutil


def lives(process: psutil.Process) -> bool:
    """Whether a process works still: it has not ended, no other one has its number, and it is no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
