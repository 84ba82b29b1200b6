"""Named refusals."""


class AgreementMissing(Exception):
    """No version is active; the message names the folder and the command that shows what is missing."""
