"""Why a backup cannot be made or used; each message says what to do."""


class BackupRefused(Exception):
    """A backup cannot be made, read or restored; nothing was changed, and the message says what to do."""
