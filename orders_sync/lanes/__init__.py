"""The lock, watermark and run history of each lane, and the authority to act outside."""
