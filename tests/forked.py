"""Processes of their own for tests that kill them: forked from one server that has imported what they need."""

import multiprocessing
from multiprocessing.context import ForkServerContext

# The modules themselves: names of a package are loaded on first use, which would be in every new process. All of them,
# as there is one server for all tests, whichever comes first.
_PRELOADED = ["entrotune.experiments.sweep", "entrotune.scoring.score", "entrotune.training.run"]


def context() -> ForkServerContext:
    """Where to make a `Process`; it knows nothing of what the tests changed."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(_PRELOADED)
    return made
