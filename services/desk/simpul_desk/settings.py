"""Settings of the desk."""

from simpul_runtime.settings import ServiceSettings


class DeskSettings(ServiceSettings):
    """The settings of every service; the desk adds none."""
