"""Finds what is wrong with a running city: probes collect facts, pure checks turn them into findings."""
