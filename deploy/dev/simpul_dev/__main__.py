"""`python -m simpul_dev`"""

from simpul_dev.app import main

main()
