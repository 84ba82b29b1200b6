"""What the desk is told from outside."""

from simpul_runtime.settings import ServiceSettings


class DeskSettings(ServiceSettings):
    """Only what every service needs."""
