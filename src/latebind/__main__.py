"""`python -m latebind`: the same as the command `latebind`."""

from __future__ import annotations

import sys

from latebind.cli import main

if __name__ == "__main__":
    sys.exit(main())
