"""`python -m kmedtl` is the command `kmedtl`."""

import sys

from kmedtl.cli import main

sys.exit(main())
