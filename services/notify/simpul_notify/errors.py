"""Reasons for which notify refuses to start."""


class RosterInvalid(Exception):
    """The roster is incomplete; the message names every party and what is missing."""


class TextInvalid(Exception):
    """A text of `messages.yaml` is missing, uses an unknown variable or does not fit into one SMS."""


class NumberInvalid(Exception):
    """A phone number is not a mobile number of the city's country; the message does not repeat it."""


class ProviderInvalid(Exception):
    """A provider of `SIMPUL_PROVIDERS` is not installed or lacks a setting; the message names both."""


class NeverContactInvalid(Exception):
    """A line of `never-contact.txt` is neither a number nor an address; the message names the line only."""
