"""The default cron of every schedule, in one place: minute, hour, day of month, month, day of week.

defs/sync/defs.yaml overrides those of the four syncs and names their time zone; defs/cutover/v1.yaml overrides those
of V1. All others tick in UTC.
"""

# The four syncs.
SYNC_NEW = "0 6-22/2 * * *"  # in business hours
SYNC_MODIFIED = "0 2 * * *"
SYNC_CARE = "0 4 * * *"  # after the orders, whose items the care records are about
SYNC_INCOMPLETE = "0 */4 * * *"

# What follows the syncs of the night.
RETENTION = "45 4 * * *"
DAILY_REPORTS = "15 5 * * *"
WHOLE_TABLES = "40 5 * * *"
PRUNING = "50 5 * * *"
V1_V2_COMPARISON = "30 5 * * *"

# All day.
CHECKS = "30 * * * *"  # between the syncs, which start at the full hour

V1 = {"refresh_latest": "*/5 * * * *", "refresh_new": "*/2 * * * *", "refresh_orders": "*/5 * * * *"}
"""V1's schedules, by the names of their jobs."""
