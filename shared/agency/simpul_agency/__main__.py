"""`python -m simpul_agency` is `simpul-agency`."""

from simpul_agency.command.app import main

main()
