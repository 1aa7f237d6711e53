"""How many workers score on a Ray cluster, and where it is."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Ray cluster.

    Attributes:
        workers: how many, each with a model of its own.
        gpus_per_worker: may be a fraction; 0 for none.
        address: None starts one on this machine.
    """

    workers: int
    gpus_per_worker: float
    address: str | None
