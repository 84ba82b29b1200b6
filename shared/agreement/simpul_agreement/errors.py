"""Named refusals."""


class AgreementMissing(Exception):
    """No version of the agreement may decide; the message says where it was looked for and what to run."""
