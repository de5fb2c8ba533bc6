"""`python -m keysat`."""

import sys

from keysat.cli import main

if __name__ == "__main__":
    sys.exit(main())
