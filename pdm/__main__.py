"""`python -m pdm` is the command `pyramid`."""

import sys

from pdm.cli import main

sys.exit(main())
