"""Scoring on a Ray cluster: rows are read and parts written where the command runs, the models are elsewhere."""

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from entrotune.errors import UserError
from entrotune.scoring.cluster import Cluster
from entrotune.scoring.job import Job
from entrotune.scoring.table import ScoredBlock

if TYPE_CHECKING:
    import pyarrow


def score_on_ray(
    job: Job, done: Mapping[int, str], cluster: Cluster, write: Callable[[int, ScoredBlock | None], None]
) -> None:
    """Score blocks on an actor pool of `ray.data`; Ray tries a block again whose worker died.

    Args:
        job: sent to the workers, which must be able to load its model by its name.
        done: blocks that have a part; see `Job.blocks`.
        cluster: a running Ray is used where this process is connected to one.
        write: called with each number, in any order, and what was scored.

    Raises:
        UserError: Ray is not installed or cannot be reached, or bad input.
    """
    ray = _ray()
    begun = not ray.is_initialized()
    if begun:
        _connect(ray, cluster)
    try:
        for row in _scored(ray, job, done, cluster).iter_rows():
            scored = pickle.loads(row["content"])
            if isinstance(scored, UserError):
                raise scored
            write(row["number"], scored)
    finally:
        if begun:
            ray.shutdown()


def _ray() -> Any:
    # Read when Ray is imported; nothing this package uses may report home.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError("the ray engine needs Ray: pip install 'entrotune[ray]'") from None
    return ray


def _connect(ray: Any, cluster: Cluster) -> None:
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    if cluster.address is None:
        # A worker needs a CPU of its own; where there are fewer, they share.
        ray.init(address="local", num_cpus=max(cluster.workers, os.cpu_count() or 1), **quiet)
        return
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError) as error:
        told = str(error).strip().splitlines()[0]
        raise UserError(f"no Ray cluster can be reached at {cluster.address!r}: {told}") from None


def _scored(ray: Any, job: Job, done: Mapping[int, str], cluster: Cluster) -> Any:
    """A data set of numbers of blocks and what was scored of each, pickled."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
    # Reading takes no processor from the workers, and happens where the data is known to be.
    blocks = ray.data.read_datasource(_source(job, dict(done)), num_cpus=0, override_num_blocks=1, label_selector=here)
    scored = blocks.map_batches(
        _Worker,
        fn_constructor_args=(job,),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=cluster.workers),
        num_cpus=1,
        num_gpus=cluster.gpus_per_worker or None,
    )
    # A block is sent off as soon as it is read, and not gathered with others.
    scored.context.target_max_block_size = 1
    scored.context.enable_progress_bars = False
    return scored


def _source(job: Job, done: dict[int, str]) -> Any:
    """A data source of one task, which yields block after block as Ray has room for them."""
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    class Blocks(Datasource):
        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            return [ReadTask(lambda: _read(job, done), BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None))]

        def estimate_inmemory_data_size(self) -> int | None:
            return None

    return Blocks()


def _read(job: Job, done: Mapping[int, str]) -> Iterator["pyarrow.Table"]:
    try:
        for number, block in job.blocks(job.stream(), done):
            yield _table(number, block)
    except UserError as error:
        yield _table(-1, error)


class _Worker:
    """A process with a model."""

    def __init__(self, job: Job) -> None:
        self.scorer = job.scorer()

    def __call__(self, batch: "pyarrow.Table") -> "pyarrow.Table":
        """What was scored of a block; what is none, an error or nothing to do, goes through as it is."""
        number, block = batch["number"][0].as_py(), pickle.loads(batch["content"][0].as_py())
        if block is None or isinstance(block, UserError):
            return batch
        try:
            return _table(number, self.scorer.score(block))
        except UserError as error:
            return _table(number, error)


def _table(number: int, content: Any) -> "pyarrow.Table":
    import pyarrow

    return pyarrow.table(
        {"number": [number], "content": pyarrow.array([pickle.dumps(content)], pyarrow.large_binary())}
    )
