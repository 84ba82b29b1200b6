"""What routing is told from outside."""

from simpul_runtime.settings import ServiceSettings


class RoutingSettings(ServiceSettings):
    """Only what every service needs."""
