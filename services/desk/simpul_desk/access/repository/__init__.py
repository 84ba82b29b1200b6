"""The SQL of accounts, sessions and limits."""
