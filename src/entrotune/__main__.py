"""`python -m entrotune`."""

import sys

from entrotune.cli.main import main

sys.exit(main())
