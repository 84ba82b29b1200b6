"""Makes `python -m simpul_agency` the command `simpul-agency`."""

from simpul_agency.command.app import main

main()
