"""What the definitions and components share: names of assets, checks, freshness, the database resource."""
