"""Reasons for which notify refuses to start."""


class RosterInvalid(Exception):
    """The roster is incomplete; the message names every party and what is missing."""


class TextInvalid(Exception):
    """A text of `messages.yaml` is missing, uses an unknown variable or does not fit into one SMS."""
