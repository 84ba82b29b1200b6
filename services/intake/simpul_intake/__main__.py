"""`python -m simpul_intake`"""

from simpul_intake.settings import IntakeSettings
from simpul_runtime.command_line import read_settings

settings = read_settings("intake", IntakeSettings)

# Imported with valid settings only, so that `--help` and a wrong setting are answered at once.
from simpul_intake.app import serve  # noqa: E402 - see above

serve(settings)
