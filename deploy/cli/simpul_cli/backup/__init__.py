"""Backups of a city: one moment of all databases, the broker's definitions, and the secrets apart; all encrypted."""
