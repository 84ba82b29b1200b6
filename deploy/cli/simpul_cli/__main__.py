"""`python -m simpul_cli`"""

from simpul_cli.app import main

main()
