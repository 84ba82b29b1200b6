"""`python -m simpul_routing`"""

from simpul_routing.app import main

main()
