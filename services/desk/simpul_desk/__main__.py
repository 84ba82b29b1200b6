"""`python -m simpul_desk`"""

from simpul_desk.settings import DeskSettings
from simpul_runtime.command_line import read_settings

settings = read_settings("desk", DeskSettings)

# Imported with valid settings only, so that `--help` and a wrong setting are answered at once.
from simpul_desk.app import serve  # noqa: E402 - see above

serve(settings)
