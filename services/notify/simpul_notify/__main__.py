"""`python -m simpul_notify`"""

from simpul_notify.app import main

main()
