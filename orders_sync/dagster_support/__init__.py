"""What definitions and components share: names of assets, run requests, checks, freshness, the database resource."""
