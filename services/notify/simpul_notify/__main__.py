"""`python -m simpul_notify`"""

from simpul_notify.settings import NotifySettings
from simpul_runtime.command_line import read_settings

settings = read_settings("notify", NotifySettings)

# Imported with valid settings only, so that `--help` and a wrong setting are answered at once.
from simpul_notify.app import serve  # noqa: E402 - see above

serve(settings)
