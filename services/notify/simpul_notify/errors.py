"""Named refusals."""


class RosterInvalid(Exception):
    """The roster has a gap; the message names the agency and what is missing."""


class TextInvalid(Exception):
    """A text of `messages.yaml` uses what it may not, or does not fit one SMS."""
