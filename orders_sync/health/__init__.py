"""What usually goes wrong, found: for `orders-sync doctor`, for alerts, and for whoever asks whether all is well."""
