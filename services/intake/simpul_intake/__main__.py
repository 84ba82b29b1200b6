"""`python -m simpul_intake`"""

from simpul_intake.app import main

main()
