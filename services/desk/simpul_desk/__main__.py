"""`python -m simpul_desk`"""

from simpul_desk.app import main

main()
