"""Workers of Ray, here or on a cluster, that answer pieces of work in order."""

import contextlib
import dataclasses
import functools
import logging
import os
import pickle

from tftransfer.checks import check_number, check_whole_number, import_optional

LOCAL = "local"
# What a Ray that is begun here is told, where the user has not told it otherwise.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
_PIECES_AT_ONCE = 8  # handed to a worker together; lost together when it dies


@dataclasses.dataclass(frozen=True)
class RayCluster:
    """Processes of Ray, on this machine or many, that share out the work of a call.

    The same program runs on a laptop, where Ray is begun for the call and ended after
    it, and on a cluster, whose address is given. Where this process is connected to
    Ray already, that one is used.

    A worker that dies is begun again, and what it had not answered is given out again;
    the results come in their order, whoever computed them. Every machine of the
    cluster needs this package, and the files under the same paths.

    Args:
        num_workers: Processes, each with a network of its own.
        address: `"local"`; `"auto"` for the cluster that this machine belongs to; or
            its address, `"<host>:6379"`, `"ray://<host>:10001"`.
        cpus_per_worker: Cores for each; TensorFlow gets as many threads.
        gpus_per_worker: GPUs for each; a fraction lets workers share one.
        max_restarts: How often one worker may die before the call fails.

    Raises:
        ImportError: If Ray is not installed.
        TypeError: If an argument has the wrong type.
        ValueError: If a number is out of range.

    Example:

    ```python
    cluster = tft.RayCluster(num_workers=4, address="auto")
    features, labels = tft.extract_features(model, photos, cluster=cluster)
    tft.batch_predict("saved_models/photos", "photos/", "found.csv", cluster=cluster)
    ```

    Reference:
        [Moritz et al., 2018](https://arxiv.org/abs/1712.05889).
    """

    num_workers: int = 2
    address: str = LOCAL
    cpus_per_worker: int = 1
    gpus_per_worker: float = 0
    max_restarts: int = 3

    def __post_init__(self):
        check_whole_number("num_workers", self.num_workers)
        check_whole_number("cpus_per_worker", self.cpus_per_worker)
        check_whole_number("max_restarts", self.max_restarts, minimum=0)
        check_number("gpus_per_worker", self.gpus_per_worker, minimum=0)
        if not isinstance(self.address, str) or not self.address:
            raise TypeError(
                "`address` must be 'local', 'auto' or the address of a cluster, as "
                f"'ray://head:10001'. Received: address={self.address!r}."
            )
        import_optional("ray", needs="`RayCluster` needs Ray", extra="ray")

    def map_in_order(self, make, pieces):
        """Yield `make()(piece)` for each piece, in order, computed by the workers.

        Args:
            make: Function without arguments that each worker calls once, and that
                returns the function to call with each piece; it travels by pickle.
            pieces: List of plain values or arrays, as the answers are.

        Raises:
            RuntimeError: If a worker failed, or died more often than `max_restarts`.
        """
        if not pieces:
            return
        import ray

        with self._connected(ray):
            try:
                for row in self._run(ray, make, pieces).iter_rows():
                    if row["error"]:
                        raise RuntimeError(_explain(row["error"], "Mend that"))
                    yield pickle.loads(row["answer"])  # noqa: S301  our workers' own
            except ray.exceptions.RayError as error:
                deaths = f"one died more than max_restarts={self.max_restarts} times"
                advice = "Often memory runs out: take fewer workers or rows at once"
                raise RuntimeError(_explain(deaths, advice)) from error

    def _run(self, ray, make, pieces):
        rows = [{"piece": pickle.dumps(piece)} for piece in pieces]
        blocks = -(-len(pieces) // _PIECES_AT_ONCE)
        threads = str(self.cpus_per_worker)
        restarts = {
            "max_restarts": self.max_restarts,
            "max_task_retries": self.max_restarts,
        }
        return ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
            _Worker,
            batch_size=1,
            fn_constructor_args=(make,),
            compute=ray.data.ActorPoolStrategy(  # begins with what there is room for
                min_size=1, max_size=self.num_workers, initial_size=self.num_workers
            ),
            num_cpus=self.cpus_per_worker,
            num_gpus=self.gpus_per_worker,
            ray_remote_args_fn=functools.partial(dict, **restarts),
            runtime_env={"env_vars": {"TF_NUM_INTRAOP_THREADS": threads}},
        )

    @contextlib.contextmanager
    def _connected(self, ray):
        """Be connected to Ray; end what was begun here."""
        is_ours = not ray.is_initialized()
        if is_ours:
            self._connect(ray)
        context = ray.data.DataContext.get_current()
        before = context.execution_options.preserve_order, context.enable_progress_bars
        logger = logging.getLogger("ray.data")
        level = logger.level
        try:
            context.execution_options.preserve_order = True
            context.enable_progress_bars = False  # the caller shows its own
            logger.setLevel(logging.CRITICAL)  # what fails is raised
            yield
        finally:
            logger.setLevel(level)
            context.execution_options.preserve_order = before[0]
            context.enable_progress_bars = before[1]
            if is_ours:
                ray.shutdown()

    def _connect(self, ray):
        options = {}
        if self.address == LOCAL:
            for name, value in _QUIET.items():
                os.environ.setdefault(name, value)
            options = {
                "num_cpus": self.num_workers * self.cpus_per_worker,
                "include_dashboard": False,
                "log_to_driver": False,
            }
        try:
            ray.init(address=self.address, logging_level=logging.ERROR, **options)
        except (ConnectionError, OSError, ValueError) as error:
            raise ConnectionError(
                f"`address` must be that of a running Ray. Received: "
                f"address={self.address!r}: {error}. Start it with `ray start --head`, "
                "or pass address='local'."
            ) from error


def check_cluster(cluster):
    """Raise `TypeError` unless an argument `cluster` is a `RayCluster` or `None`."""
    if cluster is not None and not isinstance(cluster, RayCluster):
        raise TypeError(
            f"`cluster` must be a RayCluster or None. Received: cluster={cluster!r}. "
            "Pass for example tft.RayCluster(num_workers=2)."
        )


def _explain(reason, advice):
    return (
        f"The workers of the cluster must be able to work. Received: {reason}. What "
        f"was answered before is kept. {advice}, and call again."
    )


class _Worker:
    """What Ray Data makes in each process."""

    def __init__(self, make):
        self._make, self._answer = make, None

    def __call__(self, batch):
        """Answer a batch of pieces, or tell what went wrong, which Ray would bury."""
        try:
            self._answer = self._answer or self._make()
            pieces = map(pickle.loads, batch["piece"])  # noqa: S301  this call's own
            found = [pickle.dumps(self._answer(piece)) for piece in pieces]
            return {"answer": found, "error": [""] * len(found)}
        except Exception as error:
            told = [f"{type(error).__name__}: {error}"] * len(batch["piece"])
            return {"answer": [b""] * len(told), "error": told}
