"""Who may work: the lock, watermark and history of each lane, and the authority to act outside."""
