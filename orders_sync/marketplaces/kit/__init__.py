"""What adapters are built from: protocol, HTTP client, paging, decoding, rate limits."""
