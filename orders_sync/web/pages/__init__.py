"""The operator's pages under /operations: rendered on the server, with one style sheet and no script."""
