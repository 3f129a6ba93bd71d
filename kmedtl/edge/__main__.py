"""`python -m kmedtl.edge` is the command `kmedtl-edge`."""

import sys

from kmedtl.edge.cli import main

sys.exit(main())
