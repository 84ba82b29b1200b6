"""`python -m simpul_routing`"""

from simpul_routing.settings import RoutingSettings
from simpul_runtime.command_line import read_settings

settings = read_settings("routing", RoutingSettings)

# Imported with valid settings only, so that `--help` and a wrong setting are answered at once.
from simpul_routing.app import serve  # noqa: E402 - see above

serve(settings)
