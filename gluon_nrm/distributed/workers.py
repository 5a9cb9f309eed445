"""Communication between the workers of a job."""

from __future__ import annotations

import io
import json
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type

import numpy as np

from gluon_nrm.distributed.process_monitor import ProcessMonitor
from gluon_nrm.distributed.worker_links import WorkerLinks, pack, unpack
from gluon_nrm.errors import DistributedError, NonFiniteLoss

#: Named groups of named arrays, as in a checkpoint.
Arrays = Mapping[str, Mapping[str, np.ndarray]]


class Workers:
    """All worker processes of a job; outside a job, this process is rank 0 of 1.

    Every worker calls the same methods in the same order; each call waits for the others.

    Args:
        rank: rank of this worker, from 0; worker 0 has the run folder.
        size: number of workers.
        links: links to the other workers; None for a single worker.
        watch: ends this process if another one dies.
        kvstore: MXNet's distributed store; None outside a job.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        links: Optional[WorkerLinks] = None,
        watch: Optional[ProcessMonitor] = None,
        kvstore: Any = None,
    ) -> None:
        self.rank, self.size, self.kvstore = rank, size, kvstore
        self._links, self._watch = links, watch

    @property
    def first(self) -> bool:
        """True on worker 0, which has the run folder, evaluates and draws."""
        return self.rank == 0

    @property
    def asynchronous(self) -> bool:
        """True with dist_async: the servers update at each gradient, without waiting for other workers."""
        return self.kvstore is not None and "async" in self.kvstore.type

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], _: Any, __: Optional[TracebackType]) -> None:
        """Leave the job in order; if only this worker failed, the others end too."""
        agreed = kind is None or issubclass(kind, (NonFiniteLoss, KeyboardInterrupt, DistributedError))
        if kind is None:
            self.barrier()
        if agreed and self._watch is not None:
            self._watch.close()

    def exchange(self, data: bytes) -> List[bytes]:
        """Send ``data`` to all workers and return the data of each, by rank.

        Raises:
            DistributedError: a worker is gone.
        """
        return [data] if self._links is None else self._links.exchange(data)

    def barrier(self) -> None:
        """Wait until every worker has called this."""
        self.exchange(b"")

    def any(self, flag: bool) -> bool:
        """Return True if the flag is set on any worker."""
        return any(part == b"1" for part in self.exchange(b"1" if flag else b"0"))

    def gather(self, vector: np.ndarray) -> np.ndarray:
        """Gather the vectors (n,) of all workers, of equal length and type, as (workers, n)."""
        parts = self.exchange(np.ascontiguousarray(vector).tobytes())
        return np.stack([np.frombuffer(part, dtype=vector.dtype) for part in parts])

    def sum(self, vector: np.ndarray) -> np.ndarray:
        """Sum of the vectors (n,) of all workers, in the order of their ranks: the same bits on each."""
        return self.gather(vector).sum(axis=0, dtype=vector.dtype)

    def from_first(self, value: Any) -> Any:
        """Return worker 0's ``value``, of JSON types; the values of other workers are ignored."""
        return json.loads(self.exchange(json.dumps(value).encode("utf-8") if self.first else b"")[0])

    def arrays_from_first(
        self, arrays: Arrays, state: Mapping[str, Any]
    ) -> Tuple[Dict[str, Dict[str, np.ndarray]], Dict[str, Any]]:
        """Return worker 0's arrays and state; those of other workers are ignored."""
        if self._links is None:
            return {name: dict(group) for name, group in arrays.items()}, dict(state)
        found = self.exchange(_encode(arrays, state) if self.first else b"")[0]
        return _decode(found)


def _encode(arrays: Arrays, state: Mapping[str, Any]) -> bytes:
    header = json.dumps({"groups": list(arrays), "state": dict(state)}).encode("utf-8")
    files = [io.BytesIO() for _ in arrays]
    for file, group in zip(files, arrays.values()):
        np.savez(file, **dict(group))
    return pack([header, *(file.getvalue() for file in files)])


def _decode(message: bytes) -> Tuple[Dict[str, Dict[str, np.ndarray]], Dict[str, Any]]:
    header, *files = unpack(message)
    fields = json.loads(header)
    arrays = {}
    for name, file in zip(fields["groups"], files):
        with np.load(io.BytesIO(file), allow_pickle=False) as group:
            arrays[name] = {key: group[key] for key in group.files}
    return arrays, fields["state"]
