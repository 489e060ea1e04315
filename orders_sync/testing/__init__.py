"""The test harness: a marketplace in your hands, invariants, a whole deployment. Also for authors of adapters."""
